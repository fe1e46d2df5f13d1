"""The layers that are asked to be left alone, found by patterns over the names of a model's layers."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from shrinkml.compression.sites import find_sites
from shrinkml.errors import PlanError

N_CLOSE = 5  # names that a message about a pattern lists

Names = Mapping[str, frozenset[str]]


def asked_to_leave(model: nn.Module, *, only: Sequence[str], excepted: Sequence[str]) -> dict[str, str]:
    """The layers of `model` that stay as they are because of these patterns: layer -> the reason.

    A pattern (as `fnmatch` has them: `*`, `?`, `[...]`) stands for a layer where it matches its name, another name of
    the same matrix, or the name of a module that it lies in: "*.embed_tokens" and "*.embed_tokens.weight" are the same.

    Args:
        model: dense or in part compressed; the names are those of its sites.
        only: patterns of the layers that may be compressed; all may where there are none.
        excepted: patterns of those that may not all the same.

    Raises:
        PlanError: a pattern matches no layer, or no layer is left to compress.
    """
    names = _names(model)
    kept = {pattern: _matched(pattern, names) for pattern in (*only, *excepted)}
    left = {}
    for layer in names:
        by = next((pattern for pattern in excepted if layer in kept[pattern]), None)
        if by is not None:
            left[layer] = f"layers.except of the job asks to leave it ({by})"
        elif only and not any(layer in kept[pattern] for pattern in only):
            left[layer] = f"layers.only of the job does not name it ({', '.join(only)})"
    if left and len(left) == len(names):
        raise PlanError(
            f"layers.only ({', '.join(only) or 'all'}) and layers.except ({', '.join(excepted) or 'none'}) leave all "
            f"{len(names)} layers of the model alone; allowed: patterns that leave at least one to compress"
        )
    return left


def _names(model: nn.Module) -> Names:
    """Layer -> all that a pattern may match to stand for it."""
    found: dict[str, frozenset[str]] = {}
    for site in find_sites(model):
        found[site.layer] = found.get(site.layer, frozenset()) | {
            *_with_parents(f"{site.path}.{site.name}".lstrip("."))
        }
    return found


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _matched(pattern: str, names: Names) -> set[str]:
    found = {layer for layer, known in names.items() if any(fnmatchcase(name, pattern) for name in known)}
    if not found:
        raise PlanError(
            f"layers: the pattern {pattern!r} matches none of the model's {len(names)} layers; close names: "
            f"{', '.join(_close(pattern, names))}"
        )
    return found


def _close(pattern: str, names: Iterable[str]) -> list[str]:
    """The names of layers that are most like `pattern`."""
    return difflib.get_close_matches(pattern, names, n=N_CLOSE, cutoff=0.0)
