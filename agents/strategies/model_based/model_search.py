"""The cycle of the model-based agents: fit a model to all that was judged, try thousands of plans in it, judge a few.

That is Dyna's (Sutton 1990) and MBPO's (Janner et al. 2019, arXiv:1906.08253). Inside the model plans evolve; what
mutates them is what these agents differ in. What they know before the first evaluation is the expected loss of each
option (`agents.search.look.layer_losses`), in nats per utterance: the magnitude of word losses, for which the model's
constants were tuned. Where the problem tells none, a part of the evaluations measures word losses.

Their plans do not race: what plans that were given up are thought to have misleads the model. On two models at 8x, five
seeds, 50 plans, it ended 3 and 9 % higher, for 24 and 13 % fewer words heard.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import numpy as np

from agents.search.search import Search
from agents.strategies.baselines.least_expected import least_expected
from agents.strategies.measured_losses import measure_word_losses
from agents.strategies.model_based.surrogate_model import Features, Floats, SurrogateModel
from agents.strategies.starts import judge_starts
from envs.batch_modules import Bools, Ints
from envs.batch_projection import BatchProjection
from envs.budget import Entries
from envs.decision import PerOption
from envs.projection import as_energies
from envs.word_loss import word_loss

MEASURED = 0.15  # of the evaluations, at most, for layers alone; at 50, a third was worse and none no worse
MEASURED_PER_LAYER = 2  # at most: the rest of a curve is better learned from plans within the budget
BOLDNESS = (
    0.0,
    0.0,
    1.0,
    2.0,
)  # of a round's proposals: spreads that a word loss is hoped to be below its prediction
APART = 2  # layers by which the proposals of one round differ, at least
MAX_FITTED = 400  # plans, the best: the model's cost grows with their cube
PARENTS = 16  # of a generation in the model, the best; the first are the best plans judged
CHILDREN = 96  # of them together
GENERATIONS = 15  # for each proposal: with the above, 5,760 plans are tried for the four of a round


class Mutation(Protocol):
    """Changes plans inside the model."""

    def __call__(self, plans: Ints) -> tuple[Ints, Bools]:
        """[n, n_layers] menu entries, those of `plans` mutated, and which were; they may be over the budget."""
        ...

    def learn_(self, gains: Floats) -> None:
        """Learn from the log word loss that the mutations of the last call took away: [n], in the model."""
        ...


def search_in_model(search: Search, make_mutation: Callable[[PerOption, np.random.Generator], Mutation]) -> None:
    """Judge the plans that look best after evolving in a model of the word losses; see `Strategy`.

    Args:
        search: see there.
        make_mutation: what changes plans in the model, made of the loss of each option, as expected before, and of
            what to draw from.
    """
    rng = np.random.default_rng(search.seed)
    budget, recorder = search.budget, search.recorder
    judge_starts(search)
    losses = _per_utterance(search) if search.problem.tells_losses else _measured(search)
    proposals = [least_expected(budget, losses)]
    evolution = ModelEvolution(search, losses, make_mutation(losses, rng), rng)
    while not recorder.finished:
        recorder.measure(budget.plan(proposals.pop(0)))
        if not proposals and not recorder.finished:
            proposals = evolution.proposals()


def _per_utterance(search: Search) -> PerOption:
    """The expected losses in nats per utterance."""
    return tuple(tuple(map(search.problem.per_utterance, row)) for row in search.losses)


def _measured(search: Search) -> PerOption:
    """The word losses of options alone, where nothing better is known of them."""
    left = search.recorder.evaluations_left
    n_measured = min(int(MEASURED * left), MEASURED_PER_LAYER * len(search.budget.names))
    return measure_word_losses(search, reserve=left - n_measured)


class ModelEvolution:
    """Evolution inside the model.

    Args:
        search: tells what was judged.
        losses: of each option, as expected before.
        mutation: changes plans.
        rng: draws which plans are mutated.
    """

    def __init__(self, search: Search, losses: PerOption, mutation: Mutation, rng: np.random.Generator) -> None:
        self._search = search
        self._features = Features.of(search.budget, losses)
        self._projection = BatchProjection.of(search.budget, as_energies(losses))
        self._mutation = mutation
        self._rng = rng
        self._judged: list[Entries] = []  # of the recorder's trials inside the budget, in order

    def proposals(self) -> list[Entries]:
        """Plans to judge next, at least one: for each BOLDNESS the plan of least hoped-for word loss that is new.

        When the model knows of nothing new, it is a mutation of the best plan, new or not.
        """
        problem, recorder = self._search.problem, self._search.recorder
        trials = recorder.inside
        self._judged += [self._search.budget.entries(trial.plan) for trial in trials[len(self._judged) :]]
        order = sorted(range(len(trials)), key=lambda i: trials[i].wer)
        ranked = [self._judged[i] for i in order]
        known = set(ranked)
        judged = np.array(ranked[:MAX_FITTED])
        lost = [word_loss(trials[i].wer, problem.baseline_wer) for i in order[:MAX_FITTED]]
        model = SurrogateModel.fit(self._features, judged, np.array(lost))
        proposals: list[Entries] = []
        for boldness in BOLDNESS:
            evolved = map(tuple, self._evolve(model, judged[:PARENTS], boldness).tolist())
            unknown = (entries for entries in evolved if entries not in known)
            distinct = (
                entries for entries in unknown if all(_distance(entries, other) >= APART for other in proposals)
            )
            proposals.extend(islice(distinct, 1))
        return proposals or [tuple(self._projection.fit(*self._mutation(judged[:1]))[0].tolist())]

    def _evolve(self, model: SurrogateModel, parents: Ints, boldness: float) -> Ints:
        """[n, n_layers] the best plans found in `model` from `parents` [n_parents, n_layers] on, best first."""
        best, hoped = parents, _hoped_for(model, parents, boldness)
        for _ in range(GENERATIONS):
            chosen = self._rng.integers(len(best[:PARENTS]), size=CHILDREN)
            children = self._projection.fit(*self._mutation(best[chosen]))
            hoped_of_children = _hoped_for(model, children, boldness)
            self._mutation.learn_(hoped[chosen] - hoped_of_children)
            plans, first = np.unique(np.concatenate([best, children]), axis=0, return_index=True)
            log_losses = np.concatenate([hoped, hoped_of_children])[first]
            order = np.argsort(log_losses, kind="stable")[:CHILDREN]
            best, hoped = plans[order], log_losses[order]
        return best


def _hoped_for(model: SurrogateModel, plans: Ints, boldness: float) -> Floats:
    """[n] log word loss of each of `plans` [n, n_layers], if it is `boldness` spreads below its prediction."""
    if not boldness:
        return model.mean(plans)
    mean, spread = model.predict(plans)
    return mean - boldness * spread


def _distance(a: Sequence[int], b: Sequence[int]) -> int:
    """The number of layers that differ."""
    return sum(x != y for x, y in zip(a, b, strict=True))
