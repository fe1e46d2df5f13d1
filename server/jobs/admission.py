"""The checks of a job before it is queued, and of its paths before it runs. Loads no torch.

While a client waits, only what takes milliseconds is checked: names, paths, the heads of the model's files, the first
lines of the manifests; of manifests that were sound and have not changed since, not even these. A worker checks every
line.
"""

import json
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from agents.strategies.strategies import asked_policy
from server.jobs.job_names import check_names
from server.jobs.model_facts import check_model
from server.limits import DEFAULT_LIMITS, Limits
from server.service_errors import ForbiddenPathError
from server.uploads.references import Locate, no_uploads
from shrinkml.errors import CheckpointError, ManifestError
from shrinkml.job import JobSpec, resolved
from shrinkml.speech.manifest import check_splits, lines_of
from shrinkml.speech.text_lines import read_texts
from shrinkml.storage.bundle import BUNDLED, HUB
from shrinkml.storage.hub import check_allowed

KEPT_CHECKS = 256  # sets of manifests that are remembered as sound


def admit(
    spec: JobSpec,
    data_roots: Sequence[Path],
    *,
    limits: Limits = DEFAULT_LIMITS,
    allow_hub: bool = False,
    locate: Locate = no_uploads,
) -> JobSpec:
    """Return the job with absolute paths, once what can be checked at once has been; uploads keep their names.

    Args:
        spec: relative paths in it start at the first of `data_roots`.
        data_roots: folders that jobs may read.
        limits: on models and manifests.
        allow_hub: whether models of the hub may be fetched; they are, and are checked, by the worker.
        locate: gives the paths of the uploads that a job names, and further folders that it may read for them.

    Raises:
        UnknownNameError: a strategy, reward or factorizer that no table holds, or an upload that there is not.
        ConfigError: a model of the hub where that is not allowed, or a policy or texts that are none.
        ForbiddenPathError: a path outside `data_roots`, in the job, in the model's folder or in a manifest.
        CheckpointError: the model is none.
        ManifestError: a manifest is missing or has errors; the message lists the first of them.
    """
    check_names(spec, told=limits.problems_told)
    roots = [root.resolve() for root in data_roots]
    admitted = resolved(spec, roots[0])
    spec, folders = locate(spec)
    job = resolved(spec, roots[0])
    roots += folders
    check_allowed(job.model, allow_hub=allow_hub)
    _check_named(spec, roots, limits)
    if not job.model.startswith(HUB):
        check_model(job.model)
    asked_policy(job.search)
    if job.vocabulary_texts is not None:
        read_texts(Path(job.vocabulary_texts), most_bytes=limits.texts_bytes)
    manifests = tuple((split, path, _identity(path)) for split, path in _manifests(job))
    _check_manifests(manifests, tuple(roots), limits.manifest_bytes, limits.lines_checked)
    return admitted


def check_paths(job: JobSpec, data_roots: Sequence[Path], *, limits: Limits = DEFAULT_LIMITS) -> None:
    """Check that every path of `job`, those in its manifests too, lies in `data_roots` as it is now.

    Args:
        job: its paths absolute. Lines of manifests that are wrong otherwise are passed over.
        data_roots: folders that jobs may read.
        limits: on models and manifests.

    Raises:
        ForbiddenPathError: one does not.
        CheckpointError: the model's folder holds more files than a model has.
        ManifestError: a manifest cannot be read, or is too large.
    """
    roots = [root.resolve() for root in data_roots]
    _check_named(job, roots, limits)
    for split, path in _manifests(job):
        try:
            lines = lines_of(path, most_bytes=limits.manifest_bytes)
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: cannot be read: {error}") from error
        for audio in _audio_of(lines):
            _require_inside(path.parent / audio, roots, f"data.{split}")


def _check_named(spec: JobSpec, roots: Sequence[Path], limits: Limits) -> None:
    """Check the paths that `spec` names, before anything is read there; what is told of them is as it names them."""
    is_folder = not spec.model.startswith((BUNDLED, HUB))
    named = {
        "model": spec.model if is_folder else None,
        "search.policy": spec.search.policy,
        "vocabulary_texts": spec.vocabulary_texts,
        **{f"data.{split}": getattr(spec.data, split) for split in ("train", "dev", "test")},
    }
    for field, path in named.items():
        if path is not None:
            _require_inside(roots[0] / path, roots, field)
    if is_folder:
        for path in _content(roots[0] / spec.model, limits.model_files):
            _require_inside(path, roots, "model")


@lru_cache(maxsize=KEPT_CHECKS)  # what is refused is not kept
def _check_manifests(
    manifests: tuple[tuple[str, Path, tuple[int, ...]], ...], roots: tuple[Path, ...], most_bytes: int, first: int
) -> None:
    """Check the `first` lines of each of the `manifests`: split, path, and the file's identity."""
    check_splits(
        {split: path for split, path, _ in manifests},
        admit=lambda split, audio: _require_inside(audio, roots, f"data.{split}"),
        needs_text=False,
        most_bytes=most_bytes,
        first=first,
    )


def _identity(path: Path) -> tuple[int, ...]:
    """Return numbers that are others once the file is: its place on the disk, its size and the times of its changes."""
    try:
        found = path.stat()
    except OSError:  # told by what opens it
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _manifests(job: JobSpec) -> Iterator[tuple[str, Path]]:
    for split in ("train", "dev", "test"):
        path = getattr(job.data, split)
        if path is not None:
            yield split, Path(path)


def _audio_of(lines: Sequence[str]) -> Iterator[str]:
    """The paths of recordings in `lines` of a manifest."""
    for line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        audio = value.get("audio_filepath") if isinstance(value, dict) else None
        if isinstance(audio, str) and "\0" not in audio:
            yield audio


def _content(folder: Path, most: int) -> Iterator[Path]:
    """Yield all that lies in `folder`, to any depth: nothing that cannot be read, nothing behind links to folders.

    Raises:
        CheckpointError: that is more than `most` files and folders.
    """
    n_found = 0
    for parent, folders, files in os.walk(folder):
        n_found += len(folders) + len(files)
        if n_found > most:
            raise CheckpointError(
                f"model: {folder} holds more than {most} files and folders, which no model does; give its own folder"
            )
        yield from (Path(parent, name) for name in (*folders, *files))


def _require_inside(path: Path, roots: Sequence[Path], field: str) -> None:
    try:
        real = Path(os.path.realpath(path))  # unlike Path.resolve it takes a loop of links for what it is: no file
    except (OSError, ValueError):
        real = None
    if real is None or not any(real.is_relative_to(root) for root in roots):
        allowed = ", ".join(map(str, roots))
        raise ForbiddenPathError(
            f"{field}: {path} lies outside the folders that this server may read ({allowed}); "
            "move it there, or start the server with --data-root"
        )
