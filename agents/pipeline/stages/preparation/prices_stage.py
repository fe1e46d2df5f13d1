"""The stage that measures what plans cost in what the goal counts, where shapes do not tell it."""

from agents.pipeline.price_lists import COUNTED, Priced, parameters_of, price_list, read_prices, write_prices
from agents.pipeline.stage import RunState, Stage, StageContext, Tools, takes
from agents.pipeline.vocabulary.trim_stage import base_of
from shrinkml.job import JobSpec
from shrinkml.plan.prices import PriceList


def _run(context: StageContext) -> Priced:
    spec, materials = context.tools.spec, context.tools.materials
    goal, left = spec.goal, materials.left_by(spec.layers)
    return write_prices(
        materials,
        goal.resource,
        context.folder,
        ratio=goal.compression_ratio,
        levers=spec.pulled_levers,
        left=left,
    )


def _are_measured(spec: JobSpec, _: float) -> bool:
    return spec.goal.resource not in COUNTED


PRICES = Stage("prices", Priced, _run, takes(30.0), present=_are_measured)


def prices_of(tools: Tools, state: RunState) -> PriceList:
    """The prices of the job's plans: what is counted is known, the rest was measured."""
    measured, materials, spec = state.find(PRICES), tools.materials, tools.spec
    if measured is None:
        base, left, levers = base_of(tools, state), materials.left_by(spec.layers), spec.pulled_levers
        if base != materials.original:
            return parameters_of(materials, materials.opened(base), left, levers)
        return price_list(materials, spec.goal.resource, left, levers)
    return read_prices(measured.folder)
