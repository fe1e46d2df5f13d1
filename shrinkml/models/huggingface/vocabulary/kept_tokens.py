"""kept_tokens.json: the way back from a trimmed vocabulary to the original's, for whoever compares their scores."""

import json
from pathlib import Path

from shrinkml.errors import CheckpointError

KEPT = "kept_tokens.json"
IDS = "original_ids"  # key: of each token in order, the id that it had before the vocabulary was trimmed


def write_kept(kept: tuple[int, ...] | None, folder: Path) -> None:
    """Write to `folder` which id each token had in the original; nothing where the vocabulary was never trimmed."""
    if kept is not None:
        (folder / KEPT).write_text(json.dumps({IDS: kept}), encoding="utf-8")


def read_kept(folder: Path) -> tuple[int, ...] | None:
    """The ids that `write_kept` wrote to `folder`; None where there are none.

    Raises:
        CheckpointError: the file holds something else.
    """
    path = folder / KEPT
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))[IDS]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} tells no {IDS}, the tokens' ids before the vocabulary was trimmed") from error
    if not isinstance(kept, list) or not all(isinstance(token, int) for token in kept):
        raise CheckpointError(f"{path} has {IDS} that are no list of ids of tokens")
    return tuple(kept)
