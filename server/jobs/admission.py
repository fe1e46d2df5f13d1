"""The checks of a job before it is queued: names, paths, the model's files, the manifests. Loads no torch."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from agents.strategies.model_based.kept_policy import read_policy
from server.jobs.job_names import check_names
from server.jobs.model_facts import check_model
from server.service_errors import ForbiddenPathError
from shrinkml.job import JobSpec, resolved
from shrinkml.speech.manifest import check_splits
from shrinkml.speech.text_lines import read_texts
from shrinkml.storage.bundle import BUNDLED, HUB
from shrinkml.storage.hub import check_allowed


def admit(spec: JobSpec, data_roots: Sequence[Path], *, allow_hub: bool = False) -> JobSpec:
    """Return the job with absolute paths, once all has been checked that can be without loading the model.

    Args:
        spec: relative paths in it start at the first of `data_roots`.
        data_roots: folders that jobs may read.
        allow_hub: whether models of the hub may be fetched; they are, and are checked, by the worker.

    Raises:
        UnknownNameError: a strategy, reward or factorizer that no table holds.
        ConfigError: a model of the hub where that is not allowed, or a policy or texts that are none.
        ForbiddenPathError: a path outside `data_roots`, in the job, in the model's folder or in a manifest.
        CheckpointError: the model is none.
        ManifestError: a manifest is missing or has errors; the message lists them all.
    """
    check_names(spec)
    job = resolved(spec, data_roots[0])
    check_allowed(job.model, allow_hub=allow_hub)
    if not job.model.startswith((BUNDLED, HUB)):
        for path in (Path(job.model), *_content(job.model)):
            _require_inside(path, data_roots, "model")
    if not job.model.startswith(HUB):
        check_model(job.model)
    if job.search.policy is not None:
        _require_inside(Path(job.search.policy), data_roots, "search.policy")
        read_policy(Path(job.search.policy))
    if job.vocabulary_texts is not None:
        _require_inside(Path(job.vocabulary_texts), data_roots, "vocabulary_texts")
        read_texts(Path(job.vocabulary_texts))
    splits = {split: Path(path) for split in ("train", "dev", "test") if (path := getattr(job.data, split)) is not None}
    for split, path in splits.items():
        _require_inside(path, data_roots, f"data.{split}")
    check_splits(
        splits, admit=lambda split, audio: _require_inside(audio, data_roots, f"data.{split}"), needs_text=False
    )
    return job


def _content(folder: str) -> Iterator[Path]:
    """Yield all that lies in `folder`, to any depth: nothing that cannot be read, nothing behind links to folders."""
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))


def _require_inside(path: Path, roots: Sequence[Path], field: str) -> None:
    real = Path(os.path.realpath(path))  # unlike Path.resolve it takes a loop of links for what it is: no file
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        allowed = ", ".join(str(root.resolve()) for root in roots)
        raise ForbiddenPathError(
            f"{field}: {path} lies outside the folders that this server may read ({allowed}); "
            "move it there, or start the server with --data-root"
        )
