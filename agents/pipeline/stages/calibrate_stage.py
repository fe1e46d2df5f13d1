"""The stage that decomposes every layer, measures what each alone costs in accuracy, and so sets up a search."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.pipeline.materials import Materials
from agents.pipeline.stage import Stage, StageContext, takes
from agents.pipeline.stages.prices_stage import prices_of
from agents.search.decompose_layers import decomposed
from agents.search.interruptible import Interruptible
from agents.search.layer_losses import layer_losses
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
    """

    proxy_wer: float
    looked_s: float


def make_problem(
    model: Interruptible,
    cut: Callable[[CompressionPlan], Interruptible],
    decompositions: Mapping[str, Decomposition],
    calibration: Dataset,
    *,
    prices: PriceList,
    ratio: float,
    wer: float,
) -> CompressionProblem:
    """The problem of a search, with what each layer alone costs in accuracy.

    Args:
        model: that is searched.
        cut: makes it under a plan.
        decompositions: of each of its layers.
        calibration: speech that layers are measured on.
        prices: of its plans.
        ratio: how many times cheaper than the original the plans must be.
        wer: of `model`, on what plans are judged on.

    Raises:
        PlanError: no plan meets the budget.
    """
    problem = problem_of(model.module, decompositions, prices=prices, ratio=ratio, baseline_wer=wer)
    return with_losses(problem, layer_losses(model, cut, rank_menus(problem), calibration))


def make_workspace(
    materials: Materials,
    folder: Path,
    *,
    start: Path,
    ratio: float,
    factorizer: str,
    cache: Path,
    prices: PriceList | None = None,
) -> Calibrated:
    """Decompose every layer of the checkpoint `start` and write the workspace of a search to `folder`.

    Args:
        materials: the original and the speech.
        folder: becomes the workspace.
        start: the original, or what an earlier step made of it.
        ratio: how many times cheaper than the original the plans must be.
        factorizer: name in FACTORIZERS.
        cache: database of evaluations.
        prices: of the plans; their parameters, if absent.
    """
    model = materials.opened(start)
    heard = Interruptible(model, materials.should_stop)
    write_factors(folder, decomposed(heard, materials.calibration, factorizer, folder))
    decompositions = StoredDecompositions(folder)
    wer = word_error_rate(heard, materials.proxy)
    original = materials.model.module
    prices = prices or parameter_prices(model_cost(original), current_plan(original))

    def cut(plan: CompressionPlan) -> Interruptible:
        return Interruptible(shrunk(model, plan, decompositions), materials.should_stop)

    began_s = time.monotonic()
    problem = make_problem(heard, cut, decompositions, materials.calibration, prices=prices, ratio=ratio, wer=wer)
    looked_s = time.monotonic() - began_s
    write_workspace(
        folder, problem=problem, model=start, proxy=materials.proxy, cache=cache, device=materials.device.type
    )
    return Calibrated(wer, looked_s)


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
    )


CALIBRATE = Stage("calibrate", Calibrated, _run, takes(5.0), per_step=True)
