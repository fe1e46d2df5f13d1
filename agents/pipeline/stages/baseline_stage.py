"""The stage that measures the original."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.pipeline.materials import Materials
from agents.pipeline.measuring import measure
from agents.pipeline.stage import Stage, StageContext, takes
from shrinkml.measure.evaluation import Evaluation


@dataclass(frozen=True, slots=True)
class Baseline:
    """The original's figures.

    Attributes:
        calls_per_s: layer -> products with its matrix per second of audio.
        dev: on dev.
        proxy: on the proxy set.
    """

    calls_per_s: Mapping[str, float]
    dev: Evaluation
    proxy: Evaluation


def measure_original(materials: Materials) -> Baseline:
    """The original's figures on dev and on the proxy set, and how often each layer works per second of audio."""
    calls = materials.calls_per_s
    dev = measure(materials, materials.original, materials.dev, calls)
    proxy = measure(materials, materials.original, materials.proxy, calls)
    return Baseline(calls, dev, proxy)


def _run(context: StageContext) -> Baseline:
    return measure_original(context.tools.materials)


BASELINE = Stage("baseline", Baseline, _run, takes(10.0))
