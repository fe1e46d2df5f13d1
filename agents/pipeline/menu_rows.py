"""Rows of the report: the options of each layer in a step's search, and what was known of each alone."""

from collections.abc import Iterable, Iterator, Sequence

from agents.search.search_result import SearchResult
from envs.decision import Decision, Option
from envs.problem import CompressionProblem
from envs.rank_options import MODULE
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.search_rows import MenuEntry, MenuRow

Alone = dict[tuple[str, Choice], float]  # name of the decision and choice -> WER where all else is as it was


def menu_rows(
    problem: CompressionProblem, plan: CompressionPlan, results: Sequence[SearchResult]
) -> tuple[MenuRow, ...]:
    """A row per decision, in forward order.

    Args:
        problem: of the step.
        plan: that was taken.
        results: of all its searches, whatever their strategy.
    """
    alone = wers_alone(problem, results)
    return tuple(_row(it, problem, it.own(plan.choice(it.name)), alone) for it in problem.decisions)


def _row(decision: Decision, problem: CompressionProblem, chosen: Choice, alone: Alone) -> MenuRow:
    as_it_is = decision.options[-1]
    entries = tuple(
        MenuEntry(
            rank=option.choice.rank,
            bits=option.choice.bits,
            identity=option.choice.identity,
            sparsity=option.choice.sparsity,
            units=decision.units(option.choice),
            dropped=option.choice.dropped if decision.kind == MODULE else None,
            weights_kept=_kept(option, as_it_is),
            expected_loss=option.expected_loss,
            wer_alone=problem.baseline_wer if option is as_it_is else alone.get((decision.name, option.choice)),
            chosen=option.choice == chosen,
        )
        for option in decision.options
    )
    return MenuRow(decision.name, entries, cut=tuple(_ranks(decision.left_out)))


def _kept(option: Option, as_it_is: Option) -> float:
    """The share of bytes that an option keeps; of a module, all or nothing."""
    if option.choice.dropped:
        return 0.0
    return option.cost.bytes / as_it_is.cost.bytes if as_it_is.cost.bytes else 1.0


def _ranks(left_out: Iterable[Option]) -> Iterator[int]:
    return (option.choice.directions for option in left_out if option.choice.directions is not None)


def wers_alone(problem: CompressionProblem, results: Sequence[SearchResult]) -> Alone:
    """The WERs of the plans judged that leave all decisions but one as the step found them."""
    found = {}
    for trial in (trial for result in results for trial in result.trials):
        choices = {it.name: it.own(trial.plan.choice(it.name)) for it in problem.decisions}
        changed = [it.name for it in problem.decisions if choices[it.name] != it.options[-1].choice]
        if len(changed) == 1 and not trial.stopped:
            found[changed[0], choices[changed[0]]] = trial.wer
    return found
