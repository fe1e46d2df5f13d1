"""The Pareto set of what a job has judged."""

from collections.abc import Iterable

from server.http.views import Candidate, Candidates
from shrinkml.events import LoggedEvent


def pareto_set(entries: Iterable[LoggedEvent]) -> Candidates:
    """The judged plans that no other one beats in both WER and parameters, the smallest first.

    Those that were stopped early are counted, but left out: their WER is an estimate.

    Args:
        entries: events of the kind "evaluated", whose data hold `wer`, `parameters` and, but for older ones, `heard`.
    """
    judged = sorted((_candidate(entry) for entry in entries), key=lambda c: (c.parameters, c.wer))
    front: list[Candidate] = []
    for candidate in (c for c in judged if c.data.get("heard", 1.0) == 1.0):
        if not front or candidate.wer < front[-1].wer:
            front.append(candidate)
    return Candidates(items=front, n_judged=len(judged))


def _candidate(entry: LoggedEvent) -> Candidate:
    facts = dict(entry.event.data)
    return Candidate(stage=entry.event.stage, parameters=facts.pop("parameters"), wer=facts.pop("wer"), data=facts)
