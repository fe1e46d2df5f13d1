"""Look-up in the dict literals that name ShrinkML's alternatives (models, factorizers, rewards, strategies)."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from shrinkml.errors import UnknownNameError

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, *, kind: str) -> T:
    """The entry of `table` called `name`.

    Args:
        table: name -> entry.
        name: the wanted entry.
        kind: what the entries are, for the message ("strategy").

    Raises:
        UnknownNameError: no such entry; the message lists the known names and the closest one.
    """
    if name in table:
        return table[name]
    close = difflib.get_close_matches(name, table, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownNameError(f"no {kind} named {name!r}; known: {', '.join(sorted(table))}.{hint}")
