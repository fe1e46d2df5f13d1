"""The additions that owners hang on torch's modules: hooks, attributes, parameters, other forward passes.

Hooks and attributes are taken over to a module that replaces another. Whatever decides how a module uses its weight
keeps the module as it is.
"""

import copy
from collections.abc import Collection
from typing import Any, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
Memo = dict[int, Any]  # of `copy.deepcopy`

STATE_HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def own_ways(module: nn.Module, weights: Collection[str], parts: Collection[str] = ()) -> str | None:
    """The reason why the weights of a layer of torch's can't be replaced, whatever its type; None where they can.

    Args:
        module: a layer of torch's.
        weights: names of its matrices.
        parts: names of the modules that torch gives it.
    """
    held = module._parameters
    missing = [name for name in weights if name not in held]
    if "forward" in vars(module):
        return "its forward pass was replaced by another"
    if missing:
        made_of = ", ".join(name for name in held if name not in weights) or "nothing that is stored"
        return f"{', '.join(missing)} is computed at each call (of {made_of}), as by an older weight norm"
    biases = {name.replace("weight", "bias", 1) for name in weights}
    own = [name for name, parameter in held.items() if parameter is not None and name not in {*weights, *biases}]
    more = [*own, *module._buffers, *(name for name in module._modules if name not in parts)]
    if more:
        return f"its owner gave it more than torch does ({', '.join(sorted(more))})"
    if any(getattr(module, hooks) for hooks in STATE_HOOKS):
        return "hooks on its state (of state_dict or load_state_dict) may read its weight by name"
    return None


def copied(model: M, memo: Memo | None = None) -> M:
    """A deep copy of `model`, also where older weight norms keep what they computed last, which torch can't copy.

    Args:
        model: any module.
        memo: what stands for parts of it, as `copy.deepcopy` takes it.
    """
    memo = {} if memo is None else memo
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                memo.setdefault(id(value), value.detach().clone())  # computed anew before it is used
    return copy.deepcopy(model, memo)


def take_over_(twin: nn.Module, module: nn.Module, memo: Memo, *, made_with: Collection[str]) -> None:
    """Gives `twin`, which replaces `module` in a copy, its hooks and the attributes that its owner gave it.

    Args:
        twin: a new module.
        module: of torch's or ours.
        memo: of the copy of the whole model, so that hooks that are methods of a copied part become the copy's.
        made_with: names of the attributes that every module of the type of `module` has.
    """
    for name, value in vars(module).items():
        if name not in made_with or ("hook" in name and value):
            vars(twin)[name] = copy.deepcopy(value, memo)
