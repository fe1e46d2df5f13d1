"""The stage that measures the original."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.pipeline.materials import Materials
from agents.pipeline.measuring import measure
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.stage import Stage, StageContext
from shrinkml.job import JobSpec
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


def measure_original(materials: Materials, *, on_heard: Callable[[int], None] = lambda n: None) -> Baseline:
    """The original's figures on dev and on the proxy set, and how often each layer works per second of audio."""
    calls = materials.calls_per_s
    heard = materials.transcribed(materials.dev_utterances, materials.dev, on_heard=on_heard)
    dev = measure(materials, materials.original, materials.dev, calls, heard=heard)
    of_proxy = [heard[i] for i in materials.proxy_indices]
    proxy = measure(materials, materials.original, materials.proxy, calls, heard=of_proxy)
    return Baseline(calls, dev, proxy)


def _run(context: StageContext) -> Baseline:
    materials, teller = context.tools.materials, context.teller
    n_total = len(materials.dev_utterances)

    def on_heard(n: int) -> None:
        message = f"the original has transcribed {n} of {n_total} utterances of dev"
        teller.tell("transcribed", f"transcribed/{n}", message, {"n": n, "of": n_total}, n_done=n, n_total=n_total)

    return measure_original(materials, on_heard=on_heard)


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    return Work(transcribed=sizes.dev, forced=sizes.proxy, seconds=1.0)


BASELINE = Stage("baseline", Baseline, _run, _work)
