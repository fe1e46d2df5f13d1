"""From a model and speech to the problem that is searched: what flows into its layers, and which plans there are."""

from collections.abc import Mapping

from torch import nn

from agents.evaluator import BATCH_SIZE
from envs.menus import Menu, build_menus
from envs.problem import RankProblem
from shrinkml.compression.calibration import LayerStats, calibrate
from shrinkml.compression.cost import ModelCost
from shrinkml.compression.factorize import Decomposition
from shrinkml.compression.layers import current_plan, model_cost
from shrinkml.compression.plan import RankPlan
from shrinkml.dataset import Dataset
from shrinkml.errors import PlanError
from shrinkml.models.protocol import AsrModel


def layer_statistics(model: AsrModel, speech: Dataset) -> dict[str, LayerStats]:
    """What flows into the layers of `model` while it is fed the transcripts of `speech`.

    Raises:
        CalibrationError: nothing does, or what is not finite.
    """

    def run() -> None:
        model.module.eval()
        for batch in speech.batches(BATCH_SIZE):
            model.teacher_forced([speech.features[i] for i in batch], [speech.texts[i] for i in batch])

    return calibrate(model.module, run)


def pose(
    module: nn.Module,
    decompositions: Mapping[str, Decomposition],
    *,
    ratio: float,
    original_parameters: int,
    baseline_wer: float,
) -> RankProblem:
    """The search for a plan of `module`.

    Args:
        module: what the plans are applied to, dense or in part low rank already.
        decompositions: of each of its layers.
        ratio: how many times smaller than the original the plans must be.
        original_parameters: of the original.
        baseline_wer: of `module`, on what the plans are judged on.
    """
    cost = model_cost(module)
    return RankProblem(
        cost=cost,
        menus=build_menus(cost.layers, current_ranks=current_plan(module)),
        # Problems count from the dense module; above the original's own size where that came with factors.
        compression_ratio=ratio * cost.dense_parameters / original_parameters,
        spectra={name: tuple(found.singular_values.tolist()) for name, found in decompositions.items()},
        baseline_wer=baseline_wer,
    )


def check_reachable(cost: ModelCost, menus: Mapping[str, Menu], *, parameters: int, ratio: float) -> int:
    """Parameters of the smallest plan of `menus`.

    Raises:
        PlanError: a model of `parameters` cannot become `ratio` times smaller.
    """
    smallest = cost.parameters(RankPlan({name: menu[0] for name, menu in menus.items() if menu[0] is not None}))
    if parameters / smallest < ratio:
        raise PlanError(
            f"the goal of {ratio:g}x is out of reach: with the smallest rank in every layer the "
            f"model is {parameters / smallest:.2f}x smaller ({smallest:,} of {parameters:,} parameters); ask for less"
        )
    return smallest
