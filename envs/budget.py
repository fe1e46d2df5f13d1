"""The budget: what each option costs, and how far a choice may go with the rest still to be paid.

Inside a search a plan is its *entries*: the index of one option per decision, in forward order. The wall that keeps
every episode inside the budget is AMC's (He et al. 2018, arXiv:1802.03494, algorithm 1): a decision may take what is
left when all decisions that are still to come take their cheapest option.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from envs.decision import index_of
from envs.problem import CompressionProblem
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import WORDS, GroupTerm

Entries = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EntryTerm:
    """A `GroupTerm` in terms of entries.

    Attributes:
        entries: index of a decision -> the entries of it that count.
        price: more, or less where negative, where all those decisions make one of theirs.
    """

    entries: Mapping[int, frozenset[int]]
    price: int

    def at(self, entries: Sequence[int]) -> int:
        """The price that the term adds to a plan."""
        return self.price if all(entries[i] in counted for i, counted in self.entries.items()) else 0


@dataclass(frozen=True, slots=True)
class Budget:
    """The prices of a problem's options, and the limit on their sum.

    Attributes:
        names: of the decisions, in forward order.
        choices: of their options.
        weights: the price of each option, ascending within a decision; in units of the problem's price list.
        limit: of the sum of the decisions' prices, terms included.
        terms: what groups of decisions cost together, beside the sum.
        followers: decision -> the matrix whose choice follows, of those that have one.
    """

    names: tuple[str, ...]
    choices: tuple[tuple[Choice, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    limit: int
    terms: tuple[EntryTerm, ...] = ()
    followers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: CompressionProblem) -> "Budget":
        """The budget of `problem`.

        Raises:
            PlanError: the plan of first options does not meet the budget, or the prices know other sites.
        """
        decisions, listed = problem.decisions, problem.prices
        names = tuple(decision.name for decision in decisions)
        choices = tuple(decision.choices for decision in decisions)
        weights = tuple(tuple(option.price for option in decision.options) for decision in decisions)
        terms = tuple(_in_entries(term, names, choices) for term in listed.terms)
        budget = cls(names, choices, weights, problem.limit - listed.other, terms, problem.followers)
        least = listed.other + budget.spent(budget.cheapest)
        if least > problem.limit:
            words = WORDS[listed.resource]
            raise PlanError(
                f"no plan is {problem.compression_ratio:g}x {words.better} ({problem.limit} {words.unit}): the "
                f"cheapest that the menus allow has {least} {words.unit} ({listed.original / least:.2f}x); "
                "ask for less, or allow lower ranks"
            )
        return budget

    @property
    def cheapest(self) -> Entries:
        """The first entry of every decision."""
        return (0,) * len(self.names)

    def spent(self, entries: Sequence[int]) -> int:
        """The price of the decisions at `entries`."""
        alone = sum(prices[entry] for prices, entry in zip(self.weights, entries, strict=True))
        return alone + sum(term.at(entries) for term in self.terms)

    def extra(self, entries: Sequence[int], decision: int, entry: int) -> int:
        """The price added when one decision of `entries` takes another entry."""
        change = self.weights[decision][entry] - self.weights[decision][entries[decision]]
        if not self.terms:
            return change
        moved = [*entries[:decision], entry, *entries[decision + 1 :]]
        return change + sum(term.at(moved) - term.at(entries) for term in self.terms)

    def affordable(self, decision: int, entries: Sequence[int], pinned: Collection[int]) -> list[int]:
        """The entries of one decision that leave the budget within reach, ascending.

        Args:
            decision: index of the one that chooses.
            entries: one per decision.
            pinned: indices of the decisions that are settled; every other one could still take its first.
        """
        present = [entry if i in pinned and i != decision else 0 for i, entry in enumerate(entries)]
        left = self.limit - self.spent(present)
        options = range(len(self.weights[decision]))
        return [entry for entry in options if self.extra(present, decision, entry) <= left]

    def plan(self, entries: Sequence[int]) -> CompressionPlan:
        """The plan that `entries` stand for."""
        chosen = zip(self.names, self.choices, entries, strict=True)
        return CompressionPlan({name: choices[entry] for name, choices, entry in chosen}).followed(self.followers)

    def entries(self, plan: CompressionPlan) -> Entries:
        """The entries that make `plan`.

        Raises:
            PlanError: a choice that is no option.
        """
        pairs = zip(self.names, self.choices, strict=True)
        return tuple(index_of(plan.choice(name), choices, name) for name, choices in pairs)


def _in_entries(term: GroupTerm, names: Sequence[str], choices: Sequence[Sequence[Choice]]) -> EntryTerm:
    counted = {}
    for site, group in term.choices.items():
        if site not in names:
            raise PlanError(f"the prices have a term for {site!r}; allowed: {', '.join(names)}, which are decided")
        index = names.index(site)
        counted[index] = frozenset(entry for entry, choice in enumerate(choices[index]) if choice in group)
    return EntryTerm(counted, term.price)
