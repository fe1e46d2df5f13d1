"""A checkpoint as one tar file that is the same whenever it is made, and found by its name or its checkpoint's."""

from pathlib import Path
from typing import BinaryIO

from server.artefacts.artefact_store import Artefact, ArtefactKind, ArtefactStore
from server.service_errors import MissingArtefactError
from shrinkml.storage.plain_tar import write_plain_tar

SUFFIX = ".tar"


def write_tar(checkpoint: Path, stream: BinaryIO) -> None:
    """Write the folder `checkpoint` to `stream`; the same files give the same bytes, whoever packs them and when."""
    files = sorted(checkpoint.rglob("*"))
    write_plain_tar([(f"{checkpoint.name}/{path.relative_to(checkpoint)}", path) for path in files], stream)


def tar_name(checkpoint: str) -> str:
    """Return the name of the file that holds `checkpoint`."""
    return f"{checkpoint}{SUFFIX}"


def checkpoint_of(artefact: Artefact) -> str:
    """Return the name of the checkpoint in the report, and of the folder in the tar."""
    return artefact.name.removesuffix(SUFFIX)


def find_checkpoint(store: ArtefactStore, job_id: str, name: str) -> Artefact:
    """Return the file called `name`, or of the checkpoint called `name`.

    Raises:
        MissingArtefactError: there is none.
    """
    there = store.entries(job_id, ArtefactKind.CHECKPOINT)
    for artefact in there:
        if name in (artefact.name, checkpoint_of(artefact)):
            return artefact
    known = ", ".join(artefact.name for artefact in there) or "none yet: they are packed when the job ends"
    raise MissingArtefactError(f"the job has no checkpoint {name!r}; it has {known}")
