"""The look: measure what the layers of a model lose, within the effort that a search deserves, and tell the problem."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cache

from agents.search.look.effort import affordable
from agents.search.look.forced_scores import Cut, ForcedScores
from agents.search.look.interplay import with_interplay
from agents.search.look.layer_losses import LayerLosses, by_rank, few_of, layer_losses, n_measured
from agents.search.look.narrower import Posed, units_where_better
from agents.search.look.recalled_losses import Forgetful, Memory, RecalledLosses
from agents.search.make_problem import on_the_front, with_losses
from agents.strategies.baselines.least_expected import least_expected
from envs.budget import Budget
from envs.levers import Choices
from envs.problem import CompressionProblem
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset


@dataclass(frozen=True, slots=True)
class LookSettings:
    """The surroundings of a look.

    Attributes:
        searched: utterances that the searches will hear, all together; None: any effort may be made.
        memory: gives the memory of looks at this model on so many utterances.
        on_measured: called with the number of losses that are known by now, and of all.
    """

    searched: int | None = None
    memory: Callable[[int], Memory] = lambda n_heard: Forgetful()
    on_measured: Callable[[int, int], None] = lambda n_done, n_total: None


def look(
    problem: CompressionProblem,
    model: AsrModel,
    cut: Cut,
    speech: Dataset,
    *,
    left: Collection[str] = (),
    narrower: CompressionProblem | None = None,
    settings: LookSettings | None = None,
) -> CompressionProblem:
    """`problem`, told what the options of each layer lose; as it is where the model tells no scores.

    Args:
        problem: of ranks, or of choices of several levers.
        model: that is searched.
        cut: makes it under a plan.
        speech: a part of it is heard.
        left: names of layers that stay as they are, and are not measured.
        narrower: the same problem with decisions about units of recurrent layers in the place of those about their
            matrices; of each layer those are taken by which less is expected to be lost.
        settings: of the look.

    Raises:
        PlanError: no plan of the options meets the budget.
    """
    settings = settings or LookSettings()
    both = [problem] if narrower is None else [problem, narrower]
    choices = [{it.name: it.choices for it in problem.decisions if it.name not in left}]
    if narrower is not None:
        known = {(it.name, it.follower) for it in problem.decisions}
        choices += [{it.name: it.choices for it in narrower.decisions if (it.name, it.follower) not in known}]

    def n_alone(n_ranks: int) -> int:
        return sum(n_measured(options, n_ranks) for some in choices for options in some.values())

    effort = affordable(n_alone, settings.searched)
    n_total = n_alone(effort.n_ranks) + len(choices[0]) + 1
    made = cache(lambda: ForcedScores(model, cut, few_of(speech, effort.n_heard)))
    memory = settings.memory(effort.n_heard)
    n_before = 0

    def measured_in(one: CompressionProblem) -> RecalledLosses:
        before = n_before
        return RecalledLosses(
            scores=made,
            memory=memory,
            on_measured=lambda n_done: settings.on_measured(min(before + n_done, n_total), n_total),
            wiring=one.wiring,
        )

    posed = []
    for one, some in zip(both, choices, strict=True):
        losses = _losses(one, some, measured_in(one), effort.n_ranks)
        if losses is None:
            return on_the_front(problem)
        n_before = n_alone(effort.n_ranks)
        posed.append(Posed(one, replace(losses, curves={**losses.curves, **dict.fromkeys(left, (0.0,))})))
    chosen = posed[0] if narrower is None else units_where_better(*posed)
    told = with_losses(chosen.problem, chosen.losses)
    budget = Budget.of(told)
    best = budget.plan(least_expected(budget, told.expected_losses))
    decided = {it.name for it in told.decisions if it.name not in left}
    alone = replace(chosen.losses, curves={name: chosen.losses.curves[name] for name in decided})
    together = with_interplay(alone, _cuts(told, best, decided), measured_in(told))
    settings.on_measured(n_total, n_total)
    return with_losses(chosen.problem, replace(together, curves={**together.curves, **dict.fromkeys(left, (0.0,))}))


def _losses(
    problem: CompressionProblem, choices: Choices, measured: RecalledLosses, n_ranks: int
) -> LayerLosses | None:
    """The losses of the `choices` at some decisions of `problem`; None where the model tells no scores."""
    left_out = _left_out(problem)
    return layer_losses(measured, choices, lambda name, rank: left_out[name, rank], n_ranks=n_ranks)


def _left_out(problem: CompressionProblem) -> dict[tuple[str, int | None], float]:
    """Decision and rank, or rows -> the share of the energy that is left out."""
    return {
        (decision.name, option.choice.directions): 1.0 - option.retained_energy
        for decision in problem.decisions
        for alone in [{*by_rank(decision.choices).values()}]
        for option in decision.options
        if option.choice in alone
    }


def _cuts(problem: CompressionProblem, plan: CompressionPlan, names: Collection[str]) -> CompressionPlan:
    """The part of `plan` that changes one of the layers `names`."""
    own = {it.name: it.own(plan.choice(it.name)) for it in problem.decisions if it.name in names}
    unchanged = {decision.name: decision.choices[-1] for decision in problem.decisions}
    return CompressionPlan({name: choice for name, choice in own.items() if choice != unchanged[name]})
