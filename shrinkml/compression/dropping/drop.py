"""Models without some of their residual branches, and the records of branches that may be dropped or are."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from torch import nn

from shrinkml.additions import copied
from shrinkml.compression.dropping.absent import Absent, HandsOn
from shrinkml.errors import PlanError
from shrinkml.layers.fast_paths import leave_fast_paths_
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.cost import Cost


def drop(model: nn.Module, plan: CompressionPlan) -> nn.Module:
    """`model` without the branches that `plan` drops: another one, of the same tensors; or itself, if it has none.

    Raises:
        PlanError: a module that the model lacks.
    """
    gone = absent_in(model)
    dropped = {path: choice for path, choice in dropped_in(plan).items() if path not in gone}
    if not dropped:
        return model
    modules = dict(model.named_modules(remove_duplicate=False))
    _check_paths(dropped, modules)
    memo: dict[int, Any] = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for path, choice in dropped.items():
        was = cost_of(modules[one] for one in (path, *choice.removes))
        memo[id(modules[path])] = Absent(modules[path], choice, was)
        memo |= {id(modules[one]): HandsOn(modules[one]) for one in choice.removes}
    changed = copied(model, memo)
    leave_fast_paths_(changed, HandsOn)
    return changed


def dropped_in(plan: CompressionPlan) -> dict[str, Choice]:
    """The modules that `plan` drops: path of each -> how."""
    return {name: choice for name, choice in plan if choice.dropped}


def absent_in(model: nn.Module) -> dict[str, Absent]:
    """Path -> what stands where a branch of `model` was."""
    return {path: module for path, module in model.named_modules() if isinstance(module, Absent)}


def cost_of(modules: Iterable[nn.Module], but: Collection[int] = ()) -> Cost:
    """The cost of the parameters of `modules`, each once, without those whose ids are in `but`."""
    found = {id(one): one for module in modules for one in module.parameters()}
    parameters = [one for identity, one in found.items() if identity not in but]
    return Cost(sum(one.numel() for one in parameters), sum(one.nbytes for one in parameters))


def without_dropped(plan: CompressionPlan) -> CompressionPlan:
    """`plan` without the modules that it drops, and without what it says of what lies in them."""
    gone = tuple(f"{path}." for path in _paths(dropped_in(plan)))
    return CompressionPlan({name: it for name, it in plan if not it.dropped and not name.startswith(gone)})


def _paths(dropped: Mapping[str, Choice]) -> Iterator[str]:
    for path, choice in dropped.items():
        yield from (path, *choice.removes)


def _check_paths(dropped: Mapping[str, Choice], modules: Mapping[str, nn.Module]) -> None:
    unknown = [path for path in _paths(dropped) if path not in modules]
    if unknown:
        raise PlanError(f"the plan drops {', '.join(map(repr, unknown))}, which the model lacks")
