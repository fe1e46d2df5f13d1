"""Judges rank plans by what they do to a real recogniser: factors sliced, proxy set transcribed, errors counted."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TypeVar, cast

from agents.search.racing import Errors
from shrinkml.compression.factorize import factorize
from shrinkml.measure.evaluation import transcripts
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.normalisers import DEFAULT
from shrinkml.speech.scoring import word_errors
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form

Model = TypeVar("Model", bound=AsrModel)

BATCH_SIZE = 32  # utterances decoded together; the result does not depend on it
N_PARTS = 4  # that a plan is judged in


class ModelEvaluator:
    """The word errors of a recogniser under a plan; implements `agents.search.racing.PartEvaluator`."""

    def __init__(
        self, shrink: Callable[[CompressionPlan], AsrModel], proxy: Dataset, *, normaliser: str = DEFAULT
    ) -> None:
        """An evaluator of plans.

        Args:
            shrink: makes the recogniser under a plan.
            proxy: the utterances that plans are judged on.
            normaliser: name in NORMALISERS.
        """
        self._shrink = shrink
        self._normaliser = normaliser
        self._parts = [proxy.subset(part) for part in parts_of(proxy)]
        self._last: tuple[CompressionPlan, AsrModel] | None = None

    @property
    def words(self) -> list[list[int]]:
        """Of the references, for each utterance of each part."""
        every = (word_errors(part.texts, part.texts, normaliser=self._normaliser) for part in self._parts)
        return [found.n_words.tolist() for found in every]

    def __call__(self, plan: CompressionPlan, part: int) -> Errors:
        """The word errors in each utterance of `part` under `plan`, with greedy decoding and no retraining."""
        heard = self._parts[part]
        hypotheses = transcripts(self._shrunk(plan), heard, batch_size=BATCH_SIZE)
        found = word_errors(heard.texts, hypotheses, normaliser=self._normaliser)
        return tuple(found.errors.tolist())

    def _shrunk(self, plan: CompressionPlan) -> AsrModel:
        """The recogniser under `plan`; the parts of a plan are asked for in turn, so the last one is kept."""
        if self._last is None or self._last[0] != plan:
            self._last = None  # first, there may be no room for another
            self._last = plan, self._shrink(plan)
        return self._last[1]


def parts_of(proxy: Dataset) -> list[list[int]]:
    """The indices of the utterances of each of N_PARTS parts; of fewer, where there are fewer batches.

    Parts are made of the very batches that the whole is decoded in, by turns, the longest first: all parts together
    take no longer than the whole. From two batches a part on, each has short and long utterances.
    """
    batches = list(proxy.batches(BATCH_SIZE))
    return [list(chain(*batches[part::N_PARTS])) for part in range(min(N_PARTS, len(batches)))]


def shrunk(
    model: Model,
    plan: CompressionPlan,
    decompositions: Mapping[str, Decomposition],
    *,
    made: dict[str, Form] | None = None,
) -> Model:
    """A copy of `model` with the layers of `plan` factorized; `made` as in `shrinkml.compression.factorize`."""
    # Surgery keeps the class of what it copies.
    return cast(Model, factorize(model.module, plan, decompositions, made=made))
