"""The checks of an unpacked archive: the same that a model's folder or a manifest of the operator's goes through.

No torch is loaded: a job's `validate` stage is the first to build the model, from the same files.
"""

import os
from pathlib import Path

from server.jobs.model_facts import ModelFacts, check_model
from server.limits import Limits
from server.service_errors import ArchiveError
from server.uploads.upload_state import Contents, ManifestFacts, Upload, UploadKind
from shrinkml.errors import CheckpointError, ManifestError
from shrinkml.speech.manifest import check_splits

LITTER = ("__MACOSX",)  # that some archivers leave beside what they pack
MANIFESTS = "*.jsonl"


def contents_of(upload: Upload, folder: Path, limits: Limits) -> Contents:
    """Return the content of the archive of `upload`, which was unpacked to `folder`.

    Raises:
        CheckpointError: it is to be a model, and is none.
        ArchiveError: it is to be a data set, and holds no manifest.
        ManifestError: a manifest or its audio has problems, or leads out of the archive.
    """
    root = _root(folder)
    files = [path for path in folder.rglob("*") if path.is_file()]
    is_model = upload.kind is UploadKind.MODEL
    return Contents(
        bytes=sum(path.stat().st_size for path in files),
        root=str(root.relative_to(folder)),
        model=_model(upload, root, len(files), limits) if is_model else None,
        manifests=() if is_model else _manifests(root, limits),
    )


def _root(folder: Path) -> Path:
    """Return the first folder from `folder` down that holds more than one other folder."""
    inside = [path for path in folder.iterdir() if path.name not in LITTER and not path.name.startswith(".")]
    return _root(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder


def _model(upload: Upload, root: Path, n_files: int, limits: Limits) -> ModelFacts:
    if n_files > limits.model_files:
        raise CheckpointError(f"the archive holds {n_files} files; allowed for a model: {limits.model_files}")
    found = check_model(str(root))
    return ModelFacts(upload.reference, found.family, found.parameters, found.bytes)


def _manifests(root: Path, limits: Limits) -> tuple[ManifestFacts, ...]:
    paths = sorted(root.glob(MANIFESTS))
    if not paths:
        raise ArchiveError(f"the archive holds no manifest; allowed: {MANIFESTS} at its top or in its only folder")
    return tuple(_manifest(path, root, limits) for path in paths)


def _manifest(path: Path, root: Path, limits: Limits) -> ManifestFacts:
    def admit(_: str, audio: Path) -> None:
        """Let only audio of the archive be looked at; it holds no links."""
        if not audio.is_relative_to(root):
            inside = os.path.relpath(audio, root)
            raise ManifestError(f"{path.name}: {inside!r:.200} lies outside the archive; allowed: paths beside it")

    splits = check_splits({path.name: path}, admit=admit, needs_text=False, most_bytes=limits.manifest_bytes)
    utterances = splits[path.name]
    return ManifestFacts(path.name, len(utterances), round(sum(utterance.duration_s for utterance in utterances), 3))
