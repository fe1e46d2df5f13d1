"""The places of models: a folder of the user's, one that ships with the package, or the Hugging Face hub."""

import os
from pathlib import Path

from shrinkml.errors import CheckpointError

BUNDLED = "reference/"  # prefix of the models that ship with the package
HUB = "hf:"  # prefix of ids of the hub; see `shrinkml.storage.hub`
UPLOAD = "upload:"  # prefix of models and manifests that were uploaded to a server: upload:ID, upload:ID/train.jsonl
_PACKAGE = Path(__file__).parent.parent


def model_folder(name: str) -> Path:
    """The folder of the model `name`: a bundled one where the name begins with "reference/", otherwise a path.

    Raises:
        CheckpointError: there is no such folder.
    """
    if name.startswith(HUB):
        raise CheckpointError(
            f"{name} lies on the Hugging Face hub, from which only jobs fetch models. {by_hand(name)}"
        )
    if name.startswith(UPLOAD):
        raise CheckpointError(f"{name} lies on the server that it was uploaded to: submit the job there")
    if name.startswith(BUNDLED):
        found = name.rstrip("/") in bundled_names()
        folder = _PACKAGE / name
    else:
        folder = Path(name)
        found = os.path.isdir(folder)  # Path.is_dir raises where a name is longer than the disk allows
    if not found:
        known = ", ".join(bundled_names())
        raise CheckpointError(f"no model {name!r}; give the folder of a checkpoint, or a bundled one: {known}")
    return folder


def by_hand(name: str) -> str:
    """The advice where the model `name` of the hub is not fetched."""
    hub_id = name.removeprefix(HUB)
    folder = hub_id.rpartition("/")[2]
    command = f"hf download {hub_id} --exclude '*.bin' --local-dir {folder}"
    return f"By hand: `{command}` where there is a network, then give that folder"


def bundled_names() -> list[str]:
    """The models that ship with the package."""
    return sorted(f"{BUNDLED}{folder.name}" for folder in (_PACKAGE / BUNDLED).glob("[!.]*") if folder.is_dir())
