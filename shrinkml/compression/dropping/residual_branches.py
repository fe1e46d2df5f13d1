"""Residual branches of a model: modules whose output is added to what it was computed from, and to nothing else.

Such are the attention and the feed-forward block of a Transformer's layer, and the convolution of a Conformer's.
Without one, what it was added to goes on as it is. No name tells of them: a model is run, and all operations are
watched. A branch is the outermost module with weights whose output goes nowhere but into the sum, at every call, and
with it the modules between the point where it leaves and that one (norms, the first layer of a feed-forward block),
whose outputs go into the branch alone.

Left out are branches that give others something beside (as the first attention of a WavLM, whose positions the others
use), whose parts are called from elsewhere, or before which stands what cannot be left out by itself.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from shrinkml.plan.choice import Choice

Branches = dict[str, Choice]  # dotted path of the module whose output is added -> the choice that leaves it out

aten = torch.ops.aten

ADDITIONS = {aten.add.Tensor, aten.add_.Tensor}
# Operations on each number alone that make 0 of 0, and what does nothing in eval.
KEEPING_ZERO = {
    aten._to_copy.default,
    aten.alias.default,
    aten.clone.default,
    aten.detach.default,
    aten.div.Tensor,
    aten.dropout.default,
    aten.gelu.default,
    aten.mul.Tensor,
    aten.neg.default,
    aten.relu.default,
    aten.silu.default,
    aten.tanh.default,
}


@dataclass(slots=True)
class _Call:
    """One call of a module.

    Attributes:
        module: it.
        inside: the modules that it was called by.
        taken: numbers of the tensors that it took.
        first: number of the first tensor that was made during the call.
        last: one above the last.
        given: numbers of the tensors that it gave, each with its place; a module of one output has the place None.
        n_given: values that it gave; None for one as it is.
    """

    module: nn.Module
    inside: frozenset[nn.Module]
    taken: list[int]
    first: int
    last: int = 0
    given: list[int] = field(default_factory=list)
    n_given: int | None = None


@torch.no_grad()
def find_residual_branches(model: nn.Module, run: Callable[[], object]) -> Branches:
    """The branches of `model` that one call of `run` shows, in the order of the model.

    Args:
        model: in eval; it is the same afterwards, also when `run` fails.
        run: lets the model work.
    """
    watch = _Watch()
    with ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_pre_hook(watch.enter, with_kwargs=True))
            hooks.enter_context(module.register_forward_hook(watch.leave, always_call=True))
        with watch:
            run()
    paths = {module: path for path, module in model.named_modules()}
    found = {paths[module]: choice for module, choice in _branches(watch, paths)}
    return {path: found[path] for path in paths.values() if path in found}


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch types no __init_subclass__
    """Numbers the tensors that a model makes, and keeps of each what it was made of.

    Attributes:
        calls: of all modules, each behind those in it.
        sources: number of a tensor -> bits of all the tensors that it was made of, and its own.
        kept_from: number of a tensor -> that of the one which it is 0 with.
        takers: number of a tensor -> those of the tensors that were made of it.
        sums: pairs of what was added, as numbers, and that of the sum.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []
        self.sources: list[int] = []
        self.kept_from: dict[int, int] = {}
        self.takers: dict[int, set[int]] = defaultdict(set)
        self.sums: list[tuple[int, int, int]] = []
        self._numbers: Any = WeakIdKeyDictionary()  # a tensor is forgotten when the model is done with it
        self._open: list[_Call] = []

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Notes what `module` takes."""
        if not self._open:
            for tensor in _tensors((args, kwargs)):
                self._number(tensor, [])
        inside = frozenset(call.module for call in self._open)
        self._open.append(_Call(module, inside, self._known((args, kwargs)), len(self.sources)))

    def leave(self, module: nn.Module, _: tuple[Any, ...], output: Any) -> None:
        """Notes what `module` gave."""
        call = self._open.pop()
        call.last, call.given = len(self.sources), self._known(output)
        call.n_given = len(output) if isinstance(output, tuple | list) else None
        self.calls.append(call)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and numbers its results."""
        taken = self._known((args, kwargs))
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            made = self._number(tensor, taken)
            if func in ADDITIONS and len(taken) == 2:
                self.sums.append((taken[0], taken[1], made))
            elif func in KEEPING_ZERO and len(taken) == 1:
                self.kept_from[made] = taken[0]
        return result

    def _number(self, tensor: Tensor, taken: list[int]) -> int:
        """Gives `tensor`, made of those that were `taken`, the next number."""
        made = len(self.sources)
        mask = 1 << made
        for source in taken:
            mask |= self.sources[source]
            self.takers[source].add(made)
        self.sources.append(mask)
        self._numbers[tensor] = made
        return made

    def _known(self, values: object) -> list[int]:
        return [self._numbers[tensor] for tensor in _tensors(values) if tensor in self._numbers]


def _branches(watch: _Watch, paths: dict[nn.Module, str]) -> Iterator[tuple[nn.Module, Choice]]:
    """The modules whose output is added at each of their calls, and how they are left out."""
    calls: dict[nn.Module, list[_Call]] = defaultdict(list)
    for call in watch.calls:
        calls[call.module].append(call)
    ends: dict[nn.Module, list[tuple[_Call, int, int]]] = defaultdict(list)  # call, where it leaves, what is added
    for one, other, _ in watch.sums:
        stream, added = (one, other) if _is_of(watch, other, one) else (other, one)
        if _is_of(watch, added, stream) and added != stream and (end := _giver(watch, added)) is not None:
            ends[end.module].append((end, stream, added))
    for module, found in ends.items():
        whole = len(found) == len(calls[module]) and _is_closed(module, calls)
        if module in paths and whole and all(_goes_nowhere_else(watch, call, added) for call, _, added in found):
            before = _before(watch, calls, found)
            if before is not None:
                removes = tuple(sorted(paths[one] for one in before))
                yield module, Choice(dropped=True, removes=removes, returns=found[0][0].n_given)


def _is_of(watch: _Watch, made: int, source: int) -> bool:
    """True where the tensor `made` was made of `source`, or is it."""
    return bool(watch.sources[made] >> source & 1)


def _giver(watch: _Watch, added: int) -> _Call | None:
    """The call of the outermost module with weights whose first output is `added`, or 0 where that is 0."""
    while True:
        givers = [call for call in watch.calls if call.given[:1] == [added] and _has_weights(call.module)]
        if givers or added not in watch.kept_from:
            return givers[-1] if givers else None
        added = watch.kept_from[added]


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _is_closed(module: nn.Module, calls: dict[nn.Module, list[_Call]]) -> bool:
    """True where no part of `module` is called but by it."""
    parts = (part for part in module.modules() if part is not module)
    return all(module in call.inside for part in parts for call in calls.get(part, ()))


def _goes_nowhere_else(watch: _Watch, call: _Call, added: int) -> bool:
    """True where the first output of `call` goes into the sum with `added` alone, and no other output anywhere."""
    first, *others = call.given
    beside = any(taker >= call.last for other in others for taker in watch.takers[other])
    while first != added and not beside:
        later = {taker for taker in watch.takers[first] if taker >= call.last}
        if len(later) != 1 or watch.kept_from.get(*later) != first:
            return False
        (first,) = later
    return not beside and len({taker for taker in watch.takers[first] if taker >= call.last}) == 1


def _before(
    watch: _Watch, calls: dict[nn.Module, list[_Call]], found: list[tuple[_Call, int, int]]
) -> list[nn.Module] | None:
    """The modules with weights before the branch whose outputs go there alone; None where one cannot be left out."""
    serving = partial(_serves, watch, found)
    module = found[0][0].module
    outside = [one for one in calls if _has_weights(one) and not any(one in {*end.inside} for end, _, _ in found)]
    outside = [one for one in outside if one is not module and all(module not in call.inside for call in calls[one])]
    serves = [one for one in outside if all(map(serving, calls[one]))]
    outermost = [one for one in serves if not any({*call.inside} & {*serves} for call in calls[one])]
    hands_on = all(call.n_given is None and len(call.taken) == 1 for one in outermost for call in calls[one])
    return outermost if hands_on and all(_is_closed(one, calls) for one in outermost) else None


def _serves(watch: _Watch, found: list[tuple[_Call, int, int]], call: _Call) -> bool:
    """True where all that `call` gives goes into one of the branches `found`, and comes from where that leaves."""
    for end, stream, added in found:
        given = call.given
        if any(_is_of(watch, added, one) for one in given) and all(
            one != stream and _is_of(watch, one, stream) for one in given
        ):
            before = (made for made in range(min(given), end.first) if any(_is_of(watch, made, one) for one in given))
            takers = (taker for made in before if _is_of(watch, added, made) for taker in watch.takers[made])
            return all(_is_of(watch, added, taker) or end.first <= taker < end.last for taker in takers)
    return False


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves(values) if isinstance(leaf, Tensor)]
