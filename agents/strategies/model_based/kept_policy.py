"""The kept form of the policy that `dyna` learns: its weights, as plain JSON. Loads no torch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from agents.search.search_result import Policy
from agents.strategies.model_based.move_features import MOVES, N_FEATURES
from shrinkml.errors import ConfigError

HIDDEN_UNITS = 32
SHAPES = {  # of its weights, by the names of `agents.strategies.model_based.move_policy`
    "hidden.weight": (HIDDEN_UNITS, N_FEATURES),
    "hidden.bias": (HIDDEN_UNITS,),
    "moves.weight": (len(MOVES), HIDDEN_UNITS),
    "moves.bias": (len(MOVES),),
}


def as_policy(value: Any) -> Policy:
    """`value`, if it is a policy.

    Raises:
        ConfigError: it is none; the message says why.
    """
    if not isinstance(value, Mapping) or value.keys() != SHAPES.keys():
        found = f"{', '.join(map(str, value)):.80}" if isinstance(value, Mapping) else f"a {type(value).__name__}"
        raise ConfigError(f"a policy holds {', '.join(SHAPES)}; here is {found or 'nothing'}")
    for name, shape in SHAPES.items():
        if _shape(value[name]) != shape:
            raise ConfigError(f"{name} of a policy must be finite numbers, {' by '.join(map(str, shape))} of them")
    return dict(value)


def read_policy(path: Path) -> Policy:
    """The policy that `write_policy` wrote, for a job's `search.policy`.

    Raises:
        ConfigError: there is none.
    """
    remedy = "take the policy.json of a run with `dyna`"
    try:
        return as_policy(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"search.policy: {path} cannot be read ({error.strerror}); {remedy}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"search.policy: {path} is none: {error}; {remedy}") from error


def write_policy(policy: Policy, path: Path) -> None:
    """Writes `policy` to `path`, whole or not at all."""
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
