"""Models and data sets as one file each, to be sent: the same ones give the same bytes, so what broke off can go on."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from shrinkml.errors import ManifestError
from shrinkml.speech.manifest import read_manifest, write_manifest
from shrinkml.storage.model_folder import look_into
from shrinkml.storage.plain_tar import write_plain_tar

ARCHIVES = (".zip", ".tar")  # that are sent as they are


@contextmanager
def packed_model(path: Path) -> Iterator[Path]:
    """Yield an archive of the model in the folder `path`, of the files that it is made of; an archive as it is.

    Raises:
        CheckpointError: the folder holds no model.
    """
    if path.suffix in ARCHIVES and path.is_file():
        yield path
        return
    found = look_into(path)
    files = [(file.name, _real(file)) for file in sorted((*found.others, *found.weights))]
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, f"{path.resolve().name}.tar")
        _write(archive, files)
        yield archive


@contextmanager
def packed_dataset(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield an archive of the manifests `paths` with their audio; a single archive as it is.

    Raises:
        ManifestError: one has problems, or two have the same name.
    """
    if len(paths) == 1 and paths[0].suffix in ARCHIVES and paths[0].is_file():
        yield paths[0]
        return
    names = [path.name for path in paths]
    if not names or len(set(names)) < len(names) or not all(name.endswith(".jsonl") for name in names):
        raise ManifestError(
            f"manifests {', '.join(names) or 'none'}; allowed: names that end in .jsonl, each another one"
        )
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "dataset.tar" if len(paths) > 1 else f"{paths[0].stem}.tar")
        _write(archive, _moved(paths, Path(folder, "dataset")))
        yield archive


def _moved(paths: Sequence[Path], folder: Path) -> list[tuple[str, Path]]:
    """Return name in an archive -> file of the manifests `paths` and their audio; these lie anew in `folder`."""
    folder.mkdir()
    audio: dict[Path, str] = {}  # file -> its name in the archive
    for path in paths:
        utterances = read_manifest(path, needs_text=False)
        for utterance in utterances:
            audio.setdefault(utterance.audio, f"audio/{len(audio):06d}{utterance.audio.suffix}")
        write_manifest(folder / path.name, [replace(it, audio=folder / audio[it.audio]) for it in utterances])
    manifests = [(path.name, folder / path.name) for path in paths]
    return manifests + [(name, _real(file)) for file, name in audio.items()]


def _real(path: Path) -> Path:
    """Return the file that `path` leads to: archives hold no links."""
    return Path(os.path.realpath(path))


def _write(archive: Path, files: Sequence[tuple[str, Path]]) -> None:
    with archive.open("wb") as stream:
        write_plain_tar(files, stream)
