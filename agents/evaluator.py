"""Judges rank plans by what they do to a real recogniser: factors sliced, proxy set transcribed, WER counted."""

from collections.abc import Mapping
from typing import TypeVar, cast

from shrinkml.compression.factorize import Decomposition
from shrinkml.compression.plan import RankPlan
from shrinkml.compression.surgery import factorize
from shrinkml.dataset import Dataset
from shrinkml.evaluation import word_error_rate
from shrinkml.models.protocol import AsrModel

Model = TypeVar("Model", bound=AsrModel)

BATCH_SIZE = 32  # utterances decoded together; the result does not depend on it


class ModelEvaluator:
    """The WER of a recogniser under a plan; implements `envs.problem.PlanEvaluator`."""

    def __init__(self, model: AsrModel, decompositions: Mapping[str, Decomposition], proxy: Dataset) -> None:
        """An evaluator of plans for `model`.

        Args:
            model: what the plans are applied to; left as it is.
            decompositions: of each of its layers.
            proxy: the utterances that plans are judged on.
        """
        self._model = model
        self._decompositions = decompositions
        self._proxy = proxy

    def __call__(self, plan: RankPlan) -> float:
        """The WER under `plan`, with greedy decoding and no retraining."""
        return word_error_rate(shrunk(self._model, plan, self._decompositions), self._proxy, batch_size=BATCH_SIZE)


def shrunk(model: Model, plan: RankPlan, decompositions: Mapping[str, Decomposition]) -> Model:
    """A copy of `model` with the layers of `plan` factorized."""
    # Surgery keeps the class of what it copies.
    return cast(Model, factorize(model.module, plan, decompositions))
