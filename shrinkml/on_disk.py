"""Tensors that lie on the disk: in memory only while they are worked on, and gone with whoever held them."""

import mmap
import os
import weakref
from pathlib import Path
from tempfile import TemporaryFile, gettempdir

import torch
from torch import Tensor

from shrinkml.freed_memory import give_back


class DiskRoom:
    """Room for tensors in unnamed files, which the system removes when the last tensor that lies there is let go of."""

    def __init__(self, folder: Path | None = None) -> None:
        """On the disk of `folder`; of the system's temporary files where None."""
        self._folder = folder
        self._maps: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()

    def keep(self, tensor: Tensor) -> Tensor:
        """A copy of `tensor` that lies on the disk; whatever was looked at of earlier ones leaves memory again.

        Raises:
            OSError: the disk has no room.
        """
        mapped = self._mapped(tensor.numel() * tensor.element_size())
        self._maps.add(mapped)
        kept = torch.frombuffer(mapped, dtype=tensor.dtype, count=tensor.numel()).view(tensor.shape)
        kept.copy_(tensor)
        self.leave_memory()
        return kept

    def leave_memory(self) -> None:
        """Nothing of what lies here takes memory until it is looked at again."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)
        give_back()

    def _mapped(self, n_bytes: int) -> mmap.mmap:
        with TemporaryFile(dir=self._folder) as file:  # the mapping keeps it
            try:
                os.posix_fallocate(file.fileno(), 0, n_bytes)  # later, no room would end the process
            except OSError as error:
                problem = f"{error.strerror}: {n_bytes / 1e6:.0f} MB more are needed"
                raise OSError(error.errno, problem, str(self._folder or gettempdir())) from error
            return mmap.mmap(file.fileno(), n_bytes)
