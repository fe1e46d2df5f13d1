"""Pairs of linear layers between which units can be cut: what one computes, the other multiplies, and nobody else.

Such are the two of a feed-forward block with an activation between them. No name tells of them: a model is run, and all
operations are watched that take what a linear layer gave. Where these work on each number alone, use no other tensor,
and end in one linear layer at every call, fewer units go the same way.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from shrinkml.compression.sites import Pairs, Site, find_sites

Origins = MutableMapping[Tensor, nn.Module]  # tensor -> the module that gave it

aten = torch.ops.aten

# Operations on each number alone that torch does not tag so: copies, other shapes, and what does nothing in eval.
ALSO_POINTWISE = {
    aten._to_copy.default,
    aten._unsafe_view.default,
    aten.alias.default,
    aten.detach.default,
    aten.dropout.default,
    aten.hardswish.default,
    aten.view.default,
}


@torch.no_grad()
def find_unit_pairs(model: nn.Module, run: Callable[[], object]) -> Pairs:
    """The pairs of `model` that one call of `run` shows: layer -> its follower, in the order of the model.

    Left out are layers whose matrix is tied to another module's, is factorized or has zeros.

    Args:
        model: in eval; it is the same afterwards, also when `run` fails.
        run: lets the model work.
    """
    sites = {site.module: site for site in find_sites(model) if site.cuts_units}
    watch = _Watch()
    with _hooked(watch, sites), watch:
        run()
    holders: dict[str, set[nn.Module]] = {}
    for site in find_sites(model):
        holders.setdefault(site.layer, set()).add(site.module)
    found = ((sites[first], sites[second]) for first, second in watch.pairs())
    fitting = {
        first.layer: second.layer
        for first, second in found
        if len(holders[first.layer]) == len(holders[second.layer]) == 1 and _fit(first, second)
    }
    return {layer: fitting[layer] for layer in holders if layer in fitting}


def _fit(first: Site, second: Site) -> bool:
    """True where units may be cut of both, and the present choice at the second follows that at the first."""
    choice = first.form.choice
    return choice.rank is None and not choice.sparsity and choice.following == second.form.choice


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types no __init_subclass__
    """Follows the outputs of modules through all operations.

    Attributes:
        takers: module -> the modules that its outputs went into, at any call.
        givers: module -> the modules whose outputs it took; None stands for another input.
        spilled: modules whose outputs went elsewhere.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.takers: dict[nn.Module, set[nn.Module]] = {}
        self.givers: dict[nn.Module, set[nn.Module | None]] = {}
        self.spilled: set[nn.Module] = set()
        self._origins: Origins = WeakIdKeyDictionary()  # a tensor is forgotten when the model is done with it
        self._inside = 0  # of how many modules that are followed

    def pairs(self) -> Iterator[tuple[nn.Module, nn.Module]]:
        """The modules whose outputs went into one other alone, which took nothing else."""
        for first, takers in self.takers.items():
            if len(takers) == 1 and first not in self.spilled:
                (second,) = takers
                if self.givers[second] == {first} and second is not first:
                    yield first, second

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Notes what `module` takes; its own operations are not watched."""
        origins = {self._origins.get(x) for x in _tensors((args, kwargs))}
        self.givers.setdefault(module, set()).update(origins)
        for origin in filter(None, origins):
            self.takers.setdefault(origin, set()).add(module)
        self._inside += 1

    def leave(self, module: nn.Module, _: tuple[Any, ...], output: Tensor) -> None:
        """Follows what `module` gave."""
        self._inside -= 1
        self._origins[output] = module

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation, and follows its result where that is made of each number alone."""
        taken = _tensors((args, kwargs))
        origins = {self._origins[x] for x in taken if x in self._origins}
        result = func(*args, **(kwargs or {}))
        if origins and not self._inside:
            if len(origins) == 1 and _is_pointwise(func, taken, self._origins, result):
                self._origins[result] = origins.pop()
            else:
                self.spilled |= origins
        return result


def _is_pointwise(func: Any, taken: list[Tensor], followed: Origins, result: Any) -> bool:
    """True where each number of `result` is made of one number of what is followed, the same unit's."""
    if torch.Tag.pointwise not in func.tags and func not in ALSO_POINTWISE:
        return False
    width = next(x.shape[-1:] for x in taken if x in followed)
    others_are_numbers = all(x in followed or not x.dim() for x in taken)
    return others_are_numbers and isinstance(result, Tensor) and result.shape[-1:] == width


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]


@contextmanager
def _hooked(watch: _Watch, modules: Any) -> Iterator[None]:
    """Tells `watch` when any of `modules` is called, and what it gave."""
    with ExitStack() as hooks:
        for module in modules:
            hooks.enter_context(module.register_forward_pre_hook(watch.enter, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(watch.leave))
        yield
