"""A task's folder of manifests: made once, whole or not at all."""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from shrinkml.errors import ManifestError

SPLITS = ("train", "dev", "test")
RECORD = "prepared.json"  # what the folder was made from


def prepare_once(folder: Path, parameters: Mapping[str, object], write: Callable[[Path], None]) -> dict[str, Path]:
    """Split -> manifest in `folder`, which holds what `write` makes of `parameters`.

    The work is done in a hidden sibling folder that is renamed at the end, so that `folder` is never half done. A
    folder prepared earlier from the same parameters is used as it is, from other parameters replaced.

    Args:
        folder: where the manifests go.
        parameters: JSON-able; everything that the content depends on.
        write: fills an empty folder with train.jsonl, dev.jsonl and test.jsonl, and audio where there is any.

    Raises:
        ManifestError: `folder` holds something else.
    """
    manifests = {split: folder / f"{split}.jsonl" for split in SPLITS}
    record = json.dumps(parameters, sort_keys=True)
    found = folder / RECORD
    if found.is_file() and found.read_text() == record:
        return manifests
    if folder.exists() and not found.is_file() and any(folder.iterdir()):
        raise ManifestError(f"{folder} holds files that were not prepared here; name an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A sibling lies as deep as `folder`, so relative paths in its manifests stay true when it is renamed.
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = fresh.with_suffix(".old")
    try:
        write(fresh)
        (fresh / RECORD).write_text(record)
        fresh.chmod(0o755)  # mkdtemp lets in nobody else
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return manifests
