"""The kept form of the policy that `dyna` learns: its weights, as plain JSON. Loads no torch.

The first columns of what a policy sees say of which kind a layer is. Their names are kept with the weights, so that a
policy is understood after another kind was added: weights of a kind that it has never seen are 0.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.search.search_result import Policy
from agents.strategies.model_based.move_features import MOVES, N_FEATURES
from envs.observation import KINDS
from shrinkml.errors import ConfigError
from shrinkml.regular_file import read_regular

HIDDEN_UNITS = 32
MOST_BYTES = 1 << 20  # of a policy's file; one takes some ten thousand
FIRST_KINDS = ("linear", "lstm_input", "lstm_recurrent", "embedding")  # of policies that do not name theirs
SHAPES = {  # of its weights, by the names of `agents.strategies.model_based.move_policy`
    "hidden.weight": (HIDDEN_UNITS, N_FEATURES),
    "hidden.bias": (HIDDEN_UNITS,),
    "moves.weight": (len(MOVES), HIDDEN_UNITS),
    "moves.bias": (len(MOVES),),
}


def as_policy(value: Any) -> Policy:
    """Return `value`, if it is a policy, with the columns of today's kinds.

    Raises:
        ConfigError: it is none; the message says why.
    """
    if not isinstance(value, Mapping) or value.keys() - {"kinds"} != SHAPES.keys():
        found = f"{', '.join(map(str, value)):.80}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
        raise ConfigError(f"a policy holds {', '.join(SHAPES)}; here is {found or 'nothing'}")
    kinds = value.get("kinds", FIRST_KINDS)
    if not isinstance(kinds, list | tuple) or not all(isinstance(kind, str) for kind in kinds):
        raise ConfigError(f"kinds of a policy is {kinds!r:.80}; allowed: a list of names")
    for name, shape in SHAPES.items():
        kept_shape = (HIDDEN_UNITS, shape[1] - len(KINDS) + len(kinds)) if name == "hidden.weight" else shape
        if _shape(value[name]) != kept_shape:
            raise ConfigError(f"{name} of a policy must be finite numbers, {' by '.join(map(str, kept_shape))} of them")
    rows = [_with_kinds(row, kinds) for row in value["hidden.weight"]]
    return {**value, "hidden.weight": rows, "kinds": list(KINDS)}


def _with_kinds(row: Sequence[float], kinds: Sequence[str]) -> list[float]:
    """One row of the first weights, whose first columns are those of `kinds`, with the columns of KINDS instead."""
    of_kind = dict(zip(kinds, row[: len(kinds)], strict=True))
    return [*(of_kind.get(kind, 0.0) for kind in KINDS), *row[len(kinds) :]]


def read_policy(path: Path) -> Policy:
    """Return the policy that `write_policy` wrote, for a job's `search.policy`.

    Raises:
        ConfigError: there is none.
    """
    remedy = "take the policy.json of a run with `dyna`"
    try:
        return as_policy(json.loads(read_regular(path, most_bytes=MOST_BYTES)))
    except OSError as error:
        raise ConfigError(f"search.policy: {path} cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"search.policy: {path} is none: {error}; {remedy}") from error


def write_policy(policy: Policy, path: Path) -> None:
    """Write `policy` to `path`, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(policy))
    partial.replace(path)


def _shape(value: Any) -> tuple[int, ...] | None:
    """Of a table of numbers that are finite in single precision; None of anything else."""
    try:
        numbers = np.asarray(value)
    except ValueError:
        return None
    is_sound = numbers.dtype.kind in "if" and bool((np.abs(numbers) <= np.finfo(np.float32).max).all())
    return numbers.shape if is_sound else None
