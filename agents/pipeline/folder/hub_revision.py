"""The commit of a model on the Hugging Face hub that a job is about: found out once, kept in its folder."""

import json

from agents.pipeline.folder.run_folder import RunFolder
from shrinkml.storage.bundle import HUB
from shrinkml.storage.hub import check_allowed, fetch

PIN = "hub.json"


def local_model(run: RunFolder, name: str, *, allow_hub: bool) -> str:
    """`name`, or the folder that it was fetched to if it is the hub's: the commit that the job began with.

    Raises:
        ConfigError: the hub is not allowed.
        CheckpointError: the model cannot be fetched.
    """
    if not name.startswith(HUB):
        return name
    check_allowed(name, allow_hub=allow_hub)
    pin = run.root / PIN
    revision = json.loads(pin.read_text())["revision"] if pin.exists() else None
    folder = fetch(name, revision)
    partial = pin.with_name(f"{PIN}.partial")
    partial.write_text(json.dumps({"model": name, "revision": folder.name}))
    partial.replace(pin)
    return str(folder)
