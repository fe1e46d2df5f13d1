"""What a job leaves for download: each of its checkpoints as one tar file that is the same whenever it is made."""

import hashlib
import json
import os
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path

from server.service_errors import MissingArtefactError

INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Artefact:
    """One downloadable file.

    Attributes:
        name: of the file, "<checkpoint>.tar".
        checkpoint: its name in the report; also the folder inside the tar.
        bytes: size of the file.
        sha256: of the file, in hex digits.
    """

    name: str
    checkpoint: str
    bytes: int
    sha256: str


def pack(checkpoints: Path, folder: Path) -> list[Artefact]:
    """Packs every checkpoint in `checkpoints` into `folder` and lists them there; unfinished ones are left out.

    A checkpoint is a folder; names with a leading dot belong to those that are being written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [p.name for p in sorted(checkpoints.glob("*")) if p.is_dir() and not p.name.startswith(".")]
    artefacts = [_pack_one(checkpoints / name, folder / f"{name}.tar") for name in names]
    _replace(folder / INDEX, json.dumps([asdict(artefact) for artefact in artefacts], indent=2).encode())
    return artefacts


def packed(folder: Path) -> list[Artefact]:
    """What `pack` left in `folder`; nothing where it has not run."""
    index = folder / INDEX
    return [Artefact(**entry) for entry in json.loads(index.read_text())] if index.exists() else []


def find(folder: Path, name: str) -> Artefact:
    """The artefact called `name`, or of the checkpoint called `name`.

    Raises:
        MissingArtefactError: there is none.
    """
    artefacts = packed(folder)
    for artefact in artefacts:
        if name in (artefact.name, artefact.checkpoint):
            return artefact
    known = ", ".join(artefact.name for artefact in artefacts) or "none yet: they are packed when the job ends"
    raise MissingArtefactError(f"the job has no checkpoint {name!r}; it has {known}")


def _pack_one(checkpoint: Path, target: Path) -> Artefact:
    partial = target.with_name(f".{target.name}")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(checkpoint.rglob("*")):
            tar.add(path, f"{checkpoint.name}/{path.relative_to(checkpoint)}", recursive=False, filter=_anonymous)
    os.replace(partial, target)
    return Artefact(target.name, checkpoint.name, target.stat().st_size, _sha256(target))


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without what differs between two runs: times, owners, the umask."""
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() else 0o644
    return member


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(content)
    os.replace(partial, path)
