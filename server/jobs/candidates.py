"""The Pareto set of the plans that a job has judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shrinkml.events import LoggedEvent


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plan that was judged.

    Attributes:
        stage: the pipeline stage that judged it.
        parameters: of the whole model under the plan.
        wer: on the proxy set, before fine-tuning, as a fraction.
        data: what else the search said of it, JSON-able.
    """

    stage: str
    parameters: int
    wer: float
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ParetoSet:
    """The plans that no other one beats.

    Attributes:
        items: these plans, the smallest first.
        n_judged: number of plans that were judged.
    """

    items: tuple[Candidate, ...]
    n_judged: int


def pareto_set(entries: Iterable[LoggedEvent]) -> ParetoSet:
    """Return the judged plans that no other one beats in both WER and parameters.

    Those that were stopped early are counted, but left out: their WER is an estimate.

    Args:
        entries: events of the kind "evaluated", whose data hold `wer`, `parameters` and, but for older ones, `heard`.
    """
    judged = sorted((_candidate(entry) for entry in entries), key=lambda c: (c.parameters, c.wer))
    front: list[Candidate] = []
    for candidate in (c for c in judged if c.data.get("heard", 1.0) == 1.0):
        if not front or candidate.wer < front[-1].wer:
            front.append(candidate)
    return ParetoSet(tuple(front), len(judged))


def _candidate(entry: LoggedEvent) -> Candidate:
    facts = dict(entry.event.data)
    return Candidate(entry.event.stage, facts.pop("parameters"), facts.pop("wer"), facts)
