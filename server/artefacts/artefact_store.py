"""The contract of an artefact store: the files that jobs leave for download."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

from server.service_errors import InvalidNameError, MissingArtefactError

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

REPORT_FILES = {"json": "report.json", "html": "report.html"}
POLICY_FILE = "policy.json"

Write = Callable[[BinaryIO], None]  # writes the content of a file into the stream that it is given


class ArtefactKind(StrEnum):
    """The use of an artefact."""

    CHECKPOINT = "checkpoint"
    REPORT = "report"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a job.

    Attributes:
        name: unique in the job ("final.tar", "report.json").
        kind: its use.
        bytes: its size.
        sha256: of its content, in hex digits.
    """

    name: str
    kind: ArtefactKind
    bytes: int
    sha256: str


class ArtefactStore(Protocol):
    """The files of every job, safe to share between threads and processes.

    A file is there whole or not at all, and replaced as a whole: who reads one sees the content that belongs to the
    size and checksum that were told.
    """

    def check(self) -> None:
        """Return where files can be kept.

        Raises:
            OSError: they cannot.
        """
        ...

    def put(self, job_id: str, name: str, kind: ArtefactKind, write: Write) -> Artefact:
        """Keep what `write` writes as the job's file `name`, in place of one of that name; nothing where it raises.

        Raises:
            InvalidNameError: a name of the job or of the file that is not safe as a file's name.
        """
        ...

    def entries(self, job_id: str, kind: ArtefactKind | None = None) -> tuple[Artefact, ...]:
        """Return the job's files of `kind`, or all, by name; none for a job that nothing was put for."""
        ...

    def find(self, job_id: str, name: str) -> Artefact:
        """Return the job's file `name`.

        Raises:
            MissingArtefactError: there is none.
        """
        ...

    def open(self, job_id: str, artefact: Artefact) -> BinaryIO:
        """Return the content of `artefact` as a stream that can be sought in, for the caller to close.

        Raises:
            MissingArtefactError: it has been deleted, replaced by other content, or cut.
        """
        ...

    def delete(self, job_id: str, name: str) -> None:
        """Remove the job's file `name` if it is there; who reads it may go on."""
        ...

    def clear(self, job_id: str) -> None:
        """Remove every file of the job; who reads one may go on."""
        ...


def require_safe(*names: str) -> None:
    """Return if each of `names` can be a file's name, and leads nowhere else.

    Raises:
        InvalidNameError: one cannot.
    """
    for name in names:
        if SAFE_NAME.fullmatch(name) is None:
            raise InvalidNameError(
                f"{name!r:.200} cannot name a file; allowed: letters, digits, dots, dashes and underscores, at most "
                "128, a letter or digit first"
            )


def missing(job_id: str, name: str, known: tuple[Artefact, ...]) -> MissingArtefactError:
    """Return the error that the job has no file `name`, with those that it has."""
    names = ", ".join(artefact.name for artefact in known) or "none"
    return MissingArtefactError(f"job {job_id} has no file {name!r}; it has {names}")


def gone(job_id: str, artefact: Artefact) -> MissingArtefactError:
    """Return the error that a file was deleted or replaced after it was found."""
    return MissingArtefactError(f"the file {artefact.name!r} of job {job_id} was just replaced or deleted; ask again")
