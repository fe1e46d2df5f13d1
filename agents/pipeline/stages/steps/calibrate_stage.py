"""The stage that decomposes every layer, measures what each alone costs in accuracy, and so sets up a search."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from agents.pipeline.folder.loss_memory import LossMemory
from agents.pipeline.materials import Materials
from agents.pipeline.progress.parts import in_parts
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext, Teller
from agents.pipeline.stages.preparation.prices_stage import prices_of
from agents.search.decompose_layers import decomposed, silent_layers
from agents.search.interruptible import Interruptible
from agents.search.look.look import LookSettings, look
from agents.search.make_problem import RANKS_ALONE, problems_of
from agents.search.model_evaluator import shrunk
from agents.search.workspace import StoredDecompositions, write_factors, write_workspace
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.prices import PriceList, parameter_prices
from shrinkml.weights.form import Form

N_PARTS = 20  # of a look, that are announced
PASSES_OF_A_LOOK = 100  # utterances for each layer, about


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


def make_workspace(
    materials: Materials,
    folder: Path,
    *,
    start: Path,
    ratio: float,
    factorizer: str,
    cache: Path,
    prices: PriceList | None = None,
    levers: Collection[str] = RANKS_ALONE,
    left: Collection[str] = (),
    searched: int | None = None,
    on_measured: Callable[[int, int], None] = lambda n_done, n_total: None,
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
        levers: that plans may pull; names in LEVERS.
        left: names of layers that stay as they are.
        searched: utterances that the searches will hear: the look costs a part of that; None: any.
        on_measured: called with the losses that are measured by now, and their number in all.
    """
    model = materials.opened(start)
    heard = Interruptible(model, materials.should_stop)
    pairs, branches = materials.unit_pairs(model, levers, left), materials.branches(model, levers, left)
    found = decomposed(heard, materials.calibration, factorizer, folder, left=left, pairs=pairs)
    write_factors(folder, found, pairs)
    decompositions = StoredDecompositions(folder)
    silent = silent_layers(model.module, decompositions, left=left)
    wer = word_error_rate(heard, materials.proxy, normaliser=materials.normaliser)
    original = materials.model.module
    if prices is None:
        cost = model_cost(original, branches=materials.branches(materials.model, levers, left))
        prices = parameter_prices(cost, current_plan(original))

    made: dict[str, Form] = {}  # a look's plans differ in a layer or two

    def cut(plan: CompressionPlan) -> Interruptible:
        return Interruptible(shrunk(model, plan, decompositions, made=made), materials.should_stop)

    began_s = time.monotonic()
    kept_whole = {*left, *silent}
    problem, narrower = problems_of(
        model.module,
        decompositions,
        prices=prices,
        ratio=ratio,
        baseline_wer=wer,
        levers=levers,
        left=kept_whole,
        bits=materials.stored_bits,
        pairs=pairs,
        branches=branches,
    )
    memory = partial(LossMemory.of, materials, start=start, factorizer=factorizer)
    settings = LookSettings(searched, memory, on_measured)
    problem = look(problem, heard, cut, materials.calibration, left=kept_whole, narrower=narrower, settings=settings)
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
        levers=tools.spec.pulled_levers,
        left=tools.materials.left_by(tools.spec.layers),
        searched=searched_utterances(tools.spec, tools.materials),
        on_measured=_look_teller(context.teller),
    )


def searched_utterances(spec: JobSpec, materials: Materials) -> int:
    """The utterances that the searches of a step hear, all together, at most."""
    n_plans = len(spec.search.runs(spec.seed)) * spec.search.evaluations
    return n_plans * min(spec.data.proxy_utterances, len(materials.dev_utterances))


def _look_teller(teller: Teller) -> Callable[[int, int], None]:
    """Announces every twentieth part of a look."""

    def tell(part: int, n_done: int, n_total: int) -> None:
        message = f"{n_done} of {n_total} losses of layers measured"
        facts = {"n": n_done, "of": n_total}
        teller.tell("looked", f"looked/{part}", message, facts, n_done=n_done, n_total=n_total)

    return in_parts(N_PARTS, tell)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.proxy, forced=sizes.proxy + PASSES_OF_A_LOOK * sizes.layers, seconds=2.0)


CALIBRATE = Stage("calibrate", Calibrated, _run, _work, per_step=True)
