"""Search inside a learned model of the evaluations, and judge for real only its best and most informative proposals.

A model-based agent that plans instead of learning a policy, as PETS does (Chua et al. 2018, arXiv:1805.12114), in the
cycle of Dyna (Sutton 1990) and MBPO (Janner et al. 2019, arXiv:1906.08253): fit an ensemble to all that was judged, try
thousands of plans in it, judge a few, fit again. What it knows before the first evaluation is what each
layer alone does to the scores (`agents.divergences`); where the model tells none, a part of the evaluations measures
layers alone.

What it wins on real models, docs/measurements.md tells, "Strategies at equal evaluations".

No policy is learned. Proposals from one trained in the model by REINFORCE (Williams 1992; a softmax over moves for each
layer, kept from round to round, as many plans tried) were no better on toys of a recogniser (`envs.toys`; five toys and
seeds, 3 % noise, WER over the lowest possible, medians: 1.066, 1.022 and 1.084 with 50 and 200 plans at 5x and 50 at
8x, where evolution in the model had 1.059, 1.011 and 1.086) and took 0.6 of the time.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np

from agents.strategies.baselines import judge_starts
from agents.strategies.damage import Damages, measure_damages
from agents.strategies.divergence import least_expected
from agents.strategies.evolution import MAX_STEP, mutated_share
from agents.strategies.search import Search
from agents.strategies.surrogate_model import Features, Floats, SurrogateModel
from envs.batch_projection import BatchProjection, Ints
from envs.budget import Entries
from envs.damage import damage_of
from envs.expectation import as_energies

MEASURED = 0.15  # of the evaluations, at most, for layers alone; at 50, a third was worse and none no worse
MEASURED_PER_LAYER = 2  # at most: the rest of a curve is better learned from plans within the budget
BOLDNESS = (0.0, 0.0, 1.0, 2.0)  # of each round's proposals: spreads that a damage is hoped to be below its prediction
APART = 2  # layers by which the proposals of one round differ, at least
MAX_FITTED = 400  # plans, the best: the model's cost grows with their cube
PARENTS = 16  # of a generation in the model, the best; the first are the best plans judged
CHILDREN = 96  # of them together
GENERATIONS = 15  # for each proposal: with the above, 5,760 plans are tried for the four of a round


def surrogate(search: Search) -> None:
    """Judges what a model of the damages proposes; see `agents.strategies.search.Strategy`."""
    budget, recorder = search.budget, search.recorder
    judge_starts(search)
    damages = search.harms if search.problem.divergences else _measured(search)
    proposals = [least_expected(budget, damages)]
    imagination = Imagination(search, Features.of(budget, damages), BatchProjection.of(budget, as_energies(damages)))
    while not recorder.finished:
        recorder(budget.plan(proposals.pop(0)))
        if not proposals and not recorder.finished:
            proposals = imagination.proposals()


def _measured(search: Search) -> Damages:
    """The damages of layers alone, where nothing better is known of them."""
    left = search.recorder.evaluations_left
    n_measured = min(int(MEASURED * left), MEASURED_PER_LAYER * len(search.budget.names))
    return measure_damages(search, reserve=left - n_measured)


class Imagination:
    """Evolution inside the model.

    Args:
        search: tells what was judged.
        features: what the model sees of plans.
        projection: brings plans into the budget.
    """

    def __init__(self, search: Search, features: Features, projection: BatchProjection) -> None:
        self._search = search
        self._features = features
        self._projection = projection
        self._rng = np.random.default_rng(search.seed)
        self._lasts = np.array([len(prices) - 1 for prices in search.budget.weights])
        self._judged: list[Entries] = []  # of the recorder's trials inside the budget, in order

    def proposals(self) -> list[Entries]:
        """What to judge next, at least one: for each BOLDNESS the plan of least hoped-for damage that is new.

        When the model knows of nothing new, it is a mutation of the best plan, new or not.
        """
        problem, recorder = self._search.problem, self._search.recorder
        trials = recorder.inside
        self._judged += [self._search.budget.entries(trial.plan) for trial in trials[len(self._judged) :]]
        order = sorted(range(len(trials)), key=lambda i: trials[i].wer)
        ranked = [self._judged[i] for i in order]
        known = set(ranked)
        judged = np.array(ranked[:MAX_FITTED])
        damages = [damage_of(trials[i].wer, problem.baseline_wer) for i in order[:MAX_FITTED]]
        model = SurrogateModel.fit(self._features, judged, np.array(damages))
        proposals: list[Entries] = []
        for boldness in BOLDNESS:
            imagined = map(tuple, self._imagine(model, judged[:PARENTS], boldness).tolist())
            unknown = (entries for entries in imagined if entries not in known)
            distinct = (
                entries for entries in unknown if all(_distance(entries, other) >= APART for other in proposals)
            )
            proposals.extend(islice(distinct, 1))
        return proposals or [tuple(self._children(judged[:1], 1)[0].tolist())]

    def _imagine(self, model: SurrogateModel, parents: Ints, boldness: float) -> Ints:
        """[n, n_layers] the best plans found in `model` from `parents` [n_parents, n_layers] on, best first."""
        best = parents
        for _ in range(GENERATIONS):
            plans = np.unique(np.concatenate([best, self._children(best[:PARENTS], CHILDREN)]), axis=0)
            best = plans[np.argsort(_hoped_for(model, plans, boldness), kind="stable")[:CHILDREN]]
        return best

    def _children(self, parents: Ints, n: int) -> Ints:
        """[n, n_layers] mutated as in `agents.strategies.evolution`, each from one of `parents` at random."""
        rng, shape = self._rng, (n, parents.shape[1])
        chosen = parents[rng.integers(len(parents), size=n)]
        mutated = rng.random(shape) < mutated_share(shape[1])
        mutated[np.arange(n), rng.integers(shape[1], size=n)] = True
        steps = rng.integers(1, MAX_STEP + 1, shape) * rng.choice([-1, 1], shape)
        return self._projection.fit(np.clip(np.where(mutated, chosen + steps, chosen), 0, self._lasts), mutated)


def _hoped_for(model: SurrogateModel, plans: Ints, boldness: float) -> Floats:
    """[n] log damage of each of `plans` [n, n_layers], if it is `boldness` spreads below its prediction."""
    if not boldness:
        return model.mean(plans)
    mean, spread = model.predict(plans)
    return mean - boldness * spread


def _distance(a: Sequence[int], b: Sequence[int]) -> int:
    """How many layers differ."""
    return sum(x != y for x, y in zip(a, b, strict=True))
