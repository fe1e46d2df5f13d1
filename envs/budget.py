"""The budget: what each option costs, and how far a choice may go with the rest still to be paid.

Inside a search a plan is its *entries*: the index of one option per decision, in forward order. The wall that keeps
every episode inside the budget is AMC's (He et al. 2018, arXiv:1802.03494, algorithm 1): a decision may take what is
left when all decisions that are still to come take their cheapest option.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from envs.decision import index_of
from envs.problem import CompressionProblem
from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.plan.prices import WORDS, GroupTerm
from shrinkml.plan.site_prices import CountedPrices, Prices, SitePrices
from shrinkml.plan.wiring import Wiring

COLUMNS_AT_A_TIME = {"parameters": 1, "bytes": 8, "macs": 1, "latency": 1}  # whose price is whole

Entries = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EntryTerm:
    """A `GroupTerm` in terms of entries, each of which may count several times.

    Attributes:
        entries: index of a decision -> the times that each of its entries counts; those that are missing, none.
        price: more, or less where negative, for each product of times.
    """

    entries: Mapping[int, Mapping[int, int]]
    price: int

    def at(self, entries: Sequence[int]) -> int:
        """The price that the term adds to a plan."""
        return self.price * prod(counted.get(entries[i], 0) for i, counted in self.entries.items())


@dataclass(frozen=True, slots=True)
class Budget:
    """The prices of a problem's options, and the limit on their sum.

    Attributes:
        names: of the decisions, in forward order.
        choices: of their options.
        weights: the price of each option, ascending within a decision; in units of the problem's price list.
        limit: of the sum of the decisions' prices, terms included.
        terms: what groups of decisions cost together, beside the sum.
        wiring: what follows elsewhere from the choices of decisions.
        children: index of a decision about a module -> those of what lies in it: where it is dropped, they cost nothing
            and stay as they are.
        parents: the same the other way round: index of a decision -> that of the one about the module it lies in.
    """

    names: tuple[str, ...]
    choices: tuple[tuple[Choice, ...], ...]
    weights: tuple[tuple[int, ...], ...]
    limit: int
    terms: tuple[EntryTerm, ...] = ()
    wiring: Wiring = field(default_factory=Wiring)
    children: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    parents: Mapping[int, int] = field(default_factory=dict)

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
        terms = (*(_in_entries(term, names, choices) for term in listed.terms), *_cut_columns(problem))
        parents = {i: names.index(it.parent) for i, it in enumerate(decisions) if it.parent is not None}
        children = {parent: tuple(i for i in parents if parents[i] == parent) for parent in parents.values()}
        limit = problem.limit - listed.other
        budget = cls(names, choices, weights, limit, terms, problem.wiring, children, parents)
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
        alone = sum(self.weights[i][entry] for i, entry in enumerate(entries) if not self.is_gone(i, entries))
        return alone + sum(term.at(entries) for term in self.terms)

    def drops(self, decision: int, entry: int) -> bool:
        """True where a decision about a module drops it with that entry, and all in it."""
        return decision in self.children and self.choices[decision][entry].dropped

    def is_gone(self, decision: int, entries: Sequence[int]) -> bool:
        """True where what a decision is about lies in a module that `entries` drop."""
        parent = self.parents.get(decision)
        return parent is not None and self.drops(parent, entries[parent])

    def written(self, entries: Sequence[int]) -> Entries:
        """`entries`, those about what is gone replaced by their last: the one way to write a plan."""
        if not self.parents:
            return tuple(entries)
        return tuple(len(self.weights[i]) - 1 if self.is_gone(i, entries) else entry for i, entry in enumerate(entries))

    def extra_alone(self, entries: Sequence[int], decision: int, entry: int) -> int:
        """The price added when one decision of `entries` takes another entry, without terms."""
        if self.is_gone(decision, entries):
            return 0
        now = entries[decision]
        change = self.weights[decision][entry] - self.weights[decision][now]
        dropped = self.drops(decision, entry) - self.drops(decision, now)
        return change - dropped * sum(self.weights[child][entries[child]] for child in self.children.get(decision, ()))

    def extra(self, entries: Sequence[int], decision: int, entry: int) -> int:
        """The price added when one decision of `entries` takes another entry."""
        change = self.extra_alone(entries, decision, entry)
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
        chosen = zip(self.names, self.choices, self.written(entries), strict=True)
        return self.wiring.completed(CompressionPlan({name: choices[entry] for name, choices, entry in chosen}))

    def entries(self, plan: CompressionPlan) -> Entries:
        """The entries that make `plan`.

        Raises:
            PlanError: a choice that is no option.
        """
        pairs = zip(self.names, self.choices, strict=True)
        return tuple(index_of(self._own(plan, name, choices[-1]), choices, name) for name, choices in pairs)

    def _own(self, plan: CompressionPlan, name: str, present: Choice) -> Choice:
        """The choice of `plan` at a decision, without the columns that others cut."""
        choice = plan.choice(name)
        return replace(choice, inputs=present.inputs) if name in self.wiring.fed else choice


def _in_entries(term: GroupTerm, names: Sequence[str], choices: Sequence[Sequence[Choice]]) -> EntryTerm:
    counted = {}
    for site, group in term.choices.items():
        if site not in names:
            raise PlanError(f"the prices have a term for {site!r}; allowed: {', '.join(names)}, which are decided")
        index = names.index(site)
        counted[index] = {entry: 1 for entry, choice in enumerate(choices[index]) if choice in group}
    return EntryTerm(counted, term.price)


def _cut_columns(problem: CompressionProblem) -> Iterator[EntryTerm]:
    """The savings of columns that units of others cut: the weights of a column under a choice, times the columns.

    Exact in parameters, and to rounding in MACs. In bytes it is a little less than they save: columns count by eights,
    scales not at all, nor do the columns of sparse matrices.
    """
    places = {decision.name: place for place, decision in enumerate(problem.decisions)}
    for place, decision in enumerate(problem.decisions):
        record, prices = decision.record, problem.prices.sites[decision.name]
        if record is None or not record.fed_by:
            continue
        at_a_time = COLUMNS_AT_A_TIME[problem.prices.resource]
        per_column = {i: _per_column(record, prices, choice) for i, choice in enumerate(decision.choices)}
        for feed in record.fed_by:
            if feed.layer in places:
                choices = problem.decisions[places[feed.layer]].choices
                columns = {i: feed.n_cut(choice) // at_a_time for i, choice in enumerate(choices)}
                yield EntryTerm({place: per_column, places[feed.layer]: columns}, -1)


def _per_column(record: LayerSpec, prices: Prices, choice: Choice) -> int:
    """The price of COLUMNS_AT_A_TIME columns of a matrix."""
    columns = choice.inputs or record.in_features
    weights = record.cost_at(choice).parameters - record.cost_at(replace(choice, inputs=columns - 1)).parameters
    if isinstance(prices, CountedPrices):
        bits = 0 if choice.sparsity else choice.bits or prices.layer.bits
        each = {"parameters": 0.0 if choice.sparsity else 1.0, "bytes": bits, "macs": prices.layer.calls_per_s}
        return int(weights * each[prices.counted])
    fed = prices.fed if isinstance(prices, SitePrices) else None
    return 0 if fed is None else int(weights * fed.per_weight)
