"""The bookkeeping of a search, the same for every strategy: what was judged, what is best, when to end."""

import math
from collections.abc import Callable, Iterable
from itertools import product

from agents.search.search_result import OnTrial, Policy, SearchResult, Trial
from envs.budget import Budget
from envs.problem import CompressionProblem, Judgement, PlanEvaluator, RacingEvaluator
from shrinkml.errors import PlanError, StoppedError
from shrinkml.events import ShouldStop
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import WORDS

MAX_REPEATS = 200  # plans in a row that were judged before; a search that proposes nothing new is over
COUNTED = 1000  # plans, at most, of a problem whose plans inside the budget are counted
SAME_SIZE = 0.01  # a plan smaller by less than this share is no choice of its own


class Recorder:
    """A plan evaluator that remembers: each distinct plan is judged once, counted once and announced once.

    Args:
        problem: supplies sizes, prices and the budget.
        evaluate: judges a plan; one that can race stops early on plans that can't become the best.
        evaluations: distinct plans that may be judged.
        on_trial: called after each of them.
        should_stop: asked before each.
    """

    def __init__(
        self,
        problem: CompressionProblem,
        evaluate: PlanEvaluator,
        *,
        evaluations: int,
        on_trial: OnTrial,
        should_stop: ShouldStop,
    ) -> None:
        self._problem = problem
        self._evaluate = evaluate
        self._evaluations = evaluations
        self._on_trial = on_trial
        self._should_stop = should_stop
        self._trials: dict[CompressionPlan, Trial] = {}
        self._inside: list[Trial] = []
        self._repeats = 0
        self._stopped = False
        self._most_inside = _plans_inside(problem)

    @property
    def finished(self) -> bool:
        """True where the search must end: evaluations used up, nothing new to propose, or stopped."""
        self._stopped = self._stopped or self._should_stop()
        judged_all = len(self._trials) >= self._evaluations or len(self._inside) >= self._most_inside
        return self._stopped or judged_all or self._repeats >= MAX_REPEATS

    @property
    def evaluations_left(self) -> int:
        """The number of distinct plans that may still be judged."""
        return self._evaluations - len(self._trials)

    @property
    def repeats(self) -> int:
        """The number of plans in a row, up to now, that had been judged before."""
        return self._repeats

    @property
    def inside(self) -> list[Trial]:
        """The trials inside the budget so far, in order."""
        return list(self._inside)

    @property
    def best(self) -> Trial:
        """The trial of lowest WER inside the budget so far; ties go to the smaller model, then to the earlier trial.

        Raises:
            StoppedError: there is none yet.
        """
        if not self._inside:
            raise StoppedError("the search was stopped before it judged a plan")
        return _best(self._inside)

    def __call__(self, plan: CompressionPlan) -> float:
        """The WER of `plan`, from memory if it was judged before. Ask `finished` first.

        Where the evaluator races, of a plan that can't beat the best that is no larger it is an estimate, above that.

        Raises:
            PlanError: `plan` is over the budget.
        """
        price, limit = self._problem.prices.price(plan), self._problem.limit
        if price > limit:
            unit = WORDS[self._problem.prices.resource].unit
            raise PlanError(f"a plan of {price} {unit} was proposed where the budget is {limit}")
        return self._recorded(plan, self._raced)

    def measure(self, plan: CompressionPlan) -> float:
        """The WER of `plan`, judged whole unless it has lost a race before; it may be over the budget.

        It is counted like any other, but over the budget it is never the result.
        """
        return self._recorded(plan, self._whole)

    def _whole(self, plan: CompressionPlan) -> Judgement:
        return Judgement(self._evaluate(plan))

    def _raced(self, plan: CompressionPlan) -> Judgement:
        rival = self._rival(plan)
        if isinstance(self._evaluate, RacingEvaluator) and rival is not None:
            return self._evaluate.race(plan, rival)
        return self._whole(plan)

    def _rival(self, plan: CompressionPlan) -> CompressionPlan | None:
        """The best plan so far of those that are no larger: what loses against that is on no front."""
        most = (1.0 + SAME_SIZE) * self._problem.cost(plan).parameters
        others = [trial for trial in self._inside if not trial.stopped and trial.parameters <= most]
        return _best(others).plan if others else None

    def _recorded(self, plan: CompressionPlan, judge: Callable[[CompressionPlan], Judgement]) -> float:
        if plan in self._trials:
            self._repeats += 1
            return self._trials[plan].wer
        found = judge(plan)
        trial = Trial(plan, found.wer, self._problem.cost(plan).parameters, found.heard)
        self._trials[plan] = trial
        if self._problem.admits(plan):
            self._inside.append(trial)
        self._repeats = 0
        self._on_trial(trial, len(self._trials))
        return trial.wer

    def result(self, strategy: str, seed: int, policy: Policy | None = None) -> SearchResult:
        """The trials and the best of them, and the policy that was learned, if any.

        Raises:
            StoppedError: nothing was judged.
        """
        return SearchResult(strategy, seed, self.best, tuple(self._trials.values()), policy)


def _best(trials: Iterable[Trial]) -> Trial:
    """The one of lowest WER; ties go to the smaller model, then to the first."""
    return min(trials, key=lambda trial: (trial.wer, trial.parameters))


def _plans_inside(problem: CompressionProblem) -> float:
    """The number of plans inside the budget; infinite where there are too many to count."""
    menus = [range(len(decision.options)) for decision in problem.decisions]
    if math.prod(map(len, menus)) > COUNTED:
        return math.inf
    budget = Budget.of(problem)
    return sum(budget.spent(entries) <= budget.limit for entries in product(*menus))
