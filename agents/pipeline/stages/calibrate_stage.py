"""The stage that decomposes every layer, measures what each alone costs in accuracy, and so sets up a search."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.pipeline.materials import Materials
from agents.pipeline.stage import Stage, StageContext, takes
from agents.pipeline.stages.prices_stage import prices_of
from agents.search.decompose_layers import decomposed, silent_layers
from agents.search.interruptible import Interruptible
from agents.search.layer_losses import LayerLosses, layer_losses
from agents.search.make_problem import problem_of, with_losses
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions, write_factors, write_workspace
from envs.problem import CompressionProblem
from envs.rank_options import rank_menus
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import PriceList, parameter_prices
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A problem, made; it lies in the stage's folder, a workspace.

    Attributes:
        proxy_wer: of the model that is searched, on the proxy set.
        looked_s: seconds that measuring every layer alone took.
        silent: layers whose inputs were all 0; they stay as they are.
    """

    proxy_wer: float
    looked_s: float
    silent: Sequence[str] = ()


def make_problem(
    model: Interruptible,
    cut: Callable[[CompressionPlan], Interruptible],
    decompositions: Mapping[str, Decomposition],
    calibration: Dataset,
    *,
    prices: PriceList,
    ratio: float,
    wer: float,
    left: Collection[str] = (),
) -> CompressionProblem:
    """The problem of a search, with what each layer alone costs in accuracy.

    Args:
        model: that is searched.
        cut: makes it under a plan.
        decompositions: of each of its layers but those that are left.
        calibration: speech that layers are measured on.
        prices: of its plans.
        ratio: how many times cheaper than the original the plans must be.
        wer: of `model`, on what plans are judged on.
        left: names of layers that stay as they are, and are not measured.

    Raises:
        PlanError: no plan meets the budget.
    """
    problem = problem_of(model.module, decompositions, prices=prices, ratio=ratio, baseline_wer=wer, left=left)
    menus = {name: menu for name, menu in rank_menus(problem).items() if name not in left}
    return with_losses(problem, _lossless(left, layer_losses(model, cut, menus, calibration)))


def _lossless(left: Collection[str], losses: LayerLosses | None) -> LayerLosses | None:
    """`losses`, and nothing that is lost by the layers that are `left`."""
    if losses is None:
        return None
    return replace(losses, curves={**losses.curves, **dict.fromkeys(left, (0.0,))})


def make_workspace(
    materials: Materials,
    folder: Path,
    *,
    start: Path,
    ratio: float,
    factorizer: str,
    cache: Path,
    prices: PriceList | None = None,
    left: Collection[str] = (),
) -> Calibrated:
    """Decompose the layers of the checkpoint `start` and write the workspace of a search to `folder`.

    Args:
        materials: the original and the speech.
        folder: becomes the workspace.
        start: the original, or what an earlier step made of it.
        ratio: how many times cheaper than the original the plans must be.
        factorizer: name in FACTORIZERS.
        cache: database of evaluations.
        prices: of the plans; their parameters, if absent.
        left: names of layers that stay as they are.
    """
    model = materials.opened(start)
    heard = Interruptible(model, materials.should_stop)
    write_factors(folder, decomposed(heard, materials.calibration, factorizer, folder, left=left))
    decompositions = StoredDecompositions(folder)
    silent = silent_layers(model.module, decompositions, left=left)
    wer = word_error_rate(heard, materials.proxy, normaliser=materials.normaliser)
    original = materials.model.module
    prices = prices or parameter_prices(model_cost(original), current_plan(original))

    def cut(plan: CompressionPlan) -> Interruptible:
        return Interruptible(shrunk(model, plan, decompositions), materials.should_stop)

    began_s = time.monotonic()
    problem = make_problem(
        heard, cut, decompositions, materials.calibration, prices=prices, ratio=ratio, wer=wer, left={*left, *silent}
    )
    looked_s = time.monotonic() - began_s
    write_workspace(
        folder,
        problem=problem,
        model=start,
        proxy=materials.proxy,
        cache=cache,
        device=materials.device.type,
        normaliser=materials.normaliser,
    )
    return Calibrated(wer, looked_s, silent)


def _run(context: StageContext) -> Calibrated:
    tools, step = context.tools, context.step
    return make_workspace(
        tools.materials,
        context.folder,
        start=step.start,
        ratio=step.ratio,
        factorizer=tools.spec.factorizer,
        cache=tools.folder.evaluations,
        prices=prices_of(tools, context.state),
        left=tools.materials.left_by(tools.spec.layers),
    )


CALIBRATE = Stage("calibrate", Calibrated, _run, takes(5.0), per_step=True)
