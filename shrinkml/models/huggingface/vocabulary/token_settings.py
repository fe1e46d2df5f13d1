"""The ids of tokens in the settings of networks of transformers and of their generation."""

from collections.abc import Iterator, Mapping
from typing import Any

SUPPRESSED = ("suppress_tokens", "begin_suppress_tokens")  # tokens that are gone need not be kept from being written
PLACED = ("forced_decoder_ids",)  # pairs of a position and a token
OTHERS = ("lang_to_id", "task_to_id", "bad_words_ids", "force_words_ids")
ENDS = ("_token_id", "_token_ids")


def ids_in(settings: Any) -> set[int]:
    """Ids that `settings`, a config or one of generation, cannot do without: what is only suppressed is none."""
    return {old for name, value in _fields(settings) if name not in SUPPRESSED for old in _ids(name, value)}


def renumber_(settings: Any, new_ids: Mapping[int, int]) -> None:
    """Give every token in `settings` its new id; suppressed tokens that are gone leave their lists.

    An id that is no token's stays: some configs name tokens that their model does not have.
    """
    for name, value in list(_fields(settings)):
        if name in SUPPRESSED:
            changed: Any = [new_ids[token] for token in value if token in new_ids]
        elif name in PLACED:
            changed = [[position, _renumbered(token, new_ids)] for position, token in value]
        else:
            changed = _renumbered(value, new_ids)
        setattr(settings, name, changed)


def _fields(settings: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of the fields of `settings` that hold tokens."""
    for name, value in vars(settings).items():
        if value is not None and (name in (*SUPPRESSED, *PLACED, *OTHERS) or name.endswith(ENDS)):
            yield name, value


def _ids(name: str, value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping):
        yield from value.values()
    elif name in PLACED:
        yield from (token for _, token in value if token is not None)
    elif value is not None:
        for part in value:
            yield from _ids("", part)


def _renumbered(value: Any, new_ids: Mapping[int, int]) -> Any:
    if isinstance(value, int):
        return new_ids.get(value, value)
    if isinstance(value, Mapping):
        return {key: _renumbered(part, new_ids) for key, part in value.items()}
    return None if value is None else [_renumbered(part, new_ids) for part in value]
