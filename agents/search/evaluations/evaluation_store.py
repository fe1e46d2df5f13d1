"""The border between those who judge plans and the place that remembers the judgements."""

from dataclasses import dataclass
from typing import Protocol

from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.racing import Errors
from shrinkml.plan.compression_plan import CompressionPlan


@dataclass(frozen=True, slots=True)
class PlanPart:
    """One part of the judgement of a plan.

    Attributes:
        context: digest of everything besides plan and part that decides the errors (model, data, decoder settings).
        plan: what is judged.
        part: number of the part of the set that it is judged on.
    """

    context: str
    plan: CompressionPlan
    part: int


class EvaluationStore(Protocol):
    """Word errors of parts of plans, and the claims of those who are about to count them.

    A claim is granted to one process at a time, by compare-and-set. It ends with `store` or `release`, or when its
    owner is known to be dead (`agents.search.evaluations.claim`): then the next one to ask takes it over.
    """

    def get(self, asked: PlanPart) -> Errors | None:
        """The word errors in each utterance of `asked`; None where it has not been judged."""
        ...

    def claim(self, asked: PlanPart, owner: ProcessIdentity) -> bool:
        """True where `asked` is now for `owner` to judge: it is not known, and no living process has claimed it."""
        ...

    def renew(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """Begin the lease of `owner`'s claim anew; nothing, where the claim was taken over."""
        ...

    def store(self, asked: PlanPart, owner: ProcessIdentity, errors: Errors) -> None:
        """Keep the `errors` of `asked` and end `owner`'s claim, both or nothing; an earlier result stays."""
        ...

    def release(self, asked: PlanPart, owner: ProcessIdentity) -> None:
        """End `owner`'s claim of what it will not judge; that of another owner stays."""
        ...

    def evaluations_made(self, context: str) -> dict[tuple[str, int], int]:
        """Plan digest and part -> how many evaluations of it were finished: 1 for each, unless a lease ran out."""
        ...
