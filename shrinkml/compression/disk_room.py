"""Large tensors that lie on the disk: in memory only while they are worked on, and gone with whoever held them."""

import mmap
import os
import weakref
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

import torch
from torch import Tensor

LARGE_BYTES = 2**20  # smaller tensors stay in memory: a file of its own for each would take longer than it is worth
TOUCHED_BYTES = 32 * 2**20  # that may have come into memory before all leave it again


class DiskRoom:
    """Room for tensors in unnamed files, which the system removes when the last tensor that lies there is let go of."""

    def __init__(self, folder: Path | None = None) -> None:
        """On the disk of `folder`; of the system's temporary files (TMPDIR) where None."""
        self._folder = folder
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._touched_bytes = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """`tensor`, by the CPU: if it is large, a copy that lies on the disk.

        Raises:
            OSError: the disk has no room, or the process may not open as many files.
        """
        n_bytes = tensor.numel() * tensor.element_size()
        if n_bytes < LARGE_BYTES:
            return tensor.cpu()
        mapped = self._mapped(n_bytes)
        self._maps.add(mapped)
        kept = torch.frombuffer(mapped, dtype=tensor.dtype).view(tensor.shape)
        kept.copy_(tensor)
        self._touched_bytes += n_bytes
        if self._touched_bytes >= TOUCHED_BYTES:
            self.leave_memory()
        return kept

    def leave_memory(self) -> None:
        """Nothing of what lies here takes memory until it is looked at again."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)
        self._touched_bytes = 0

    def _mapped(self, n_bytes: int) -> mmap.mmap:
        try:
            with TemporaryFile(dir=self._folder) as file:  # the mapping keeps it
                os.posix_fallocate(file.fileno(), 0, n_bytes)  # later, no room would end the process
                return mmap.mmap(file.fileno(), n_bytes)
        except OSError as error:
            problem = f"{error.strerror}: another file of {n_bytes / 1e6:.1f} MB is needed, and may not be the last"
            raise OSError(error.errno, problem, str(self._folder or gettempdir())) from error
