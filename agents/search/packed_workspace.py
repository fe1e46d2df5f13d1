"""A workspace as a value, for machines that share no disk with the one that wrote it.

Its files travel in blocks, so that neither side ever holds a large one in memory; who carries the blocks is the
caller's business. Unpacked, they are a folder like the one that was packed, with the model inside.
"""

import json
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from agents.search.evaluations.evaluation_store import EvaluationStore
from agents.search.opened_workspace import Workspace, context_of, open_with
from agents.search.workspace import RECORD, own_files, read_record
from shrinkml.events import ShouldStop
from shrinkml.storage.model_folder import look_into

log = logging.getLogger(__name__)

BLOCK_BYTES = 32 * 2**20
PREFIX = "shrink-workspace-"
STALE_S = 3600.0  # unpacking and opening take seconds; an older folder is of a process that was killed meanwhile

MODEL = "model"  # where the model and the evaluations lie in an unpacked workspace
EVALUATIONS = "evaluations.sqlite"

Block = TypeVar("Block")  # some bytes, or what stands for them


@dataclass(frozen=True, slots=True)
class PackedFile(Generic[Block]):
    """One file of a workspace.

    Attributes:
        name: its path below the folder.
        blocks: its content, in order.
    """

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class PackedWorkspace(Generic[Block]):
    """A workspace that needs no folder; it never changes.

    Attributes:
        context: digest of everything but the plan that an evaluation depends on.
        files: its own, and those of the model.
        n_bytes: of all of them.
    """

    context: str
    files: tuple[PackedFile[Block], ...]
    n_bytes: int


def pack(folder: Path, carry: Callable[[bytes], Block]) -> PackedWorkspace[Block]:
    """The workspace in `folder` as a value; the folder may go afterwards.

    Args:
        folder: see `agents.search.workspace`.
        carry: takes the bytes of a block, and returns what stands for them.
    """
    record = read_record(folder)
    model = look_into(folder / record.model)
    packed = replace(record, model=MODEL, cache=EVALUATIONS)
    files = [PackedFile(RECORD, (carry(json.dumps(asdict(packed)).encode()),))]
    sources = {path.name: path for path in own_files(folder)}
    sources |= {f"{MODEL}/{path.name}": path for path in (*model.others, *model.weights)}
    files += [PackedFile(name, tuple(map(carry, _blocks(path)))) for name, path in sources.items()]
    n_bytes = sum(path.stat().st_size for path in sources.values())
    log.info("packed the workspace %s: %d files, %.1f MB", folder, len(files), n_bytes / 1e6)
    return PackedWorkspace(context_of(folder), tuple(files), n_bytes)


def unpack(packed: PackedWorkspace[Block], folder: Path, fetch: Callable[[Block], bytes]) -> None:
    """Write the files of `packed` to the empty `folder`; `fetch` gives the bytes of a block."""
    (folder / MODEL).mkdir()
    for packed_file in packed.files:
        with (folder / packed_file.name).open("wb") as file:
            for block in packed_file.blocks:
                file.write(fetch(block))


def open_packed(
    packed: PackedWorkspace[Block],
    fetch: Callable[[Block], bytes],
    store: EvaluationStore,
    should_stop: ShouldStop = lambda: False,
) -> Workspace:
    """The workspace `packed`, ready to judge plans, its factors mapped from a temporary file.

    The file's name is gone by the time that this returns, and its room on the disk with the process, however that ends.

    Args:
        packed: what to open.
        fetch: gives the bytes of a block.
        store: remembers the judgements.
        should_stop: asked often while a plan is judged, which raises StoppedError then.
    """
    remove_stale(Path(tempfile.gettempdir()))
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        unpack(packed, Path(folder), fetch)
        workspace = open_with(store, Path(folder), packed.context, should_stop)
    log.info("unpacked a workspace of %.1f MB in %.1f s", packed.n_bytes / 1e6, time.monotonic() - began_s)
    return workspace


def remove_stale(parent: Path) -> None:
    """Remove what processes that were killed while they unpacked have left in `parent`."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # removed by somebody else, or another user's
            if time.time() - folder.stat().st_mtime > STALE_S:
                shutil.rmtree(folder)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
