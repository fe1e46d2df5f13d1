"""Models of the Hugging Face hub, by id: "hf:openai/whisper-tiny" is fetched to the hub's own cache on this machine.

Only what a model is made of comes along: safetensors, descriptions and vocabularies, no pickles and no programs. The
library reads its own settings: HF_ENDPOINT, HF_HOME, HF_TOKEN.
"""

from pathlib import Path

from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.extras import needs
from shrinkml.storage.bundle import HUB, by_hand
from shrinkml.storage.model_folder import DESCRIPTIONS, SHARDS, WEIGHTS

FILES = (*(f"*{suffix}" for suffix in DESCRIPTIONS), WEIGHTS, "model-*-of-*.safetensors", SHARDS)
NOT_FOLDERS = "*/*"  # what lies deeper: the same weights in other formats, or something else


def check_allowed(name: str, *, allow_hub: bool) -> None:
    """That the model `name` is none of the hub's, or that the operator allows those.

    Raises:
        ConfigError: the operator does not.
    """
    if name.startswith(HUB) and not allow_hub:
        raise ConfigError(
            f"{name} lies on the Hugging Face hub, from which nothing is fetched here. The operator allows it with "
            f"--allow-hub or SHRINKML_ALLOW_HUB=1, of `shrinkml serve` or `shrinkml compress`. {by_hand(name)}"
        )


def fetch(name: str, revision: str | None = None) -> Path:
    """The folder of the hub's model `name`, fetched unless it is in the cache; its name is the commit.

    Args:
        name: the id with "hf:" before it.
        revision: commit to fetch; the newest if None. One that is in the cache needs no network.

    Raises:
        CheckpointError: no such model, it cannot be fetched, or it has no safetensors.
        MissingPackageError: what fetches is not installed.
    """
    with needs(f"fetching {name}"):
        import httpx2  # with which huggingface_hub fetches
        from huggingface_hub import snapshot_download

    try:
        folder = Path(
            snapshot_download(
                name.removeprefix(HUB), revision=revision, allow_patterns=list(FILES), ignore_patterns=NOT_FOLDERS
            )
        )
    except (httpx2.HTTPError, OSError, ValueError) as error:  # network, hub, an id that is none
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"{name} cannot be fetched from the hub: {reason}. {by_hand(name)}") from error
    if not any(folder.glob("*.safetensors")):
        raise CheckpointError(f"{name} (commit {folder.name}) holds no {WEIGHTS}; pickled weights are not fetched")
    return folder
