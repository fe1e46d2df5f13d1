"""The stage that times the result beside the original: in torch, and in every runtime that the job exports to.

Both also in int8, where the job asks for that.
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from agents.pipeline.folder.run_folder import FINAL
from agents.pipeline.materials import Materials
from agents.pipeline.progress.stage_work import Sizes, Work
from agents.pipeline.schedule import best_of
from agents.pipeline.stage import Stage, StageContext
from agents.pipeline.stages.conclusion.export_stage import EXPORT
from agents.search.interruptible import Interruptible
from shrinkml.compression.int8 import gains_by_int8
from shrinkml.errors import ExportError
from shrinkml.job import JobSpec
from shrinkml.measure.runtimes import INT8, Contender, compare_runtimes
from shrinkml.measure.speed import BATCH_SIZES, speedup
from shrinkml.measure.speed_rows import RuntimeRow, Speedup
from shrinkml.measure.timed_process import ONNXRUNTIME, TORCH
from shrinkml.speech.proxy import choose_proxy
from shrinkml.speech.utterance import Utterance
from shrinkml.storage import checkpoint

N_TIMED = 32  # utterances of the speed measurement
TIMED_RUNS = 5  # that count, in torch and in each runtime
N_HEARD = max(BATCH_SIZES)  # utterances of each pass in a runtime: the largest batch, once

Forms = dict[tuple[str, str], Path]  # (runtime, precision of its products) -> what is run there


@dataclass(frozen=True, slots=True)
class Timed:
    """The speed of the result, beside that of the original.

    Attributes:
        speedup: in torch.
        runtimes: a row of each model in each runtime.
    """

    speedup: Speedup
    runtimes: Sequence[RuntimeRow]


def time_speed(materials: Materials, model: Path) -> Speedup:
    """The speed of the checkpoint `model` beside that of the original, here and now, on the CPU."""
    timed = materials.proxy.subset(range(min(N_TIMED, len(materials.proxy))))
    stop = materials.should_stop
    return speedup(
        Interruptible(checkpoint.load(materials.original), stop),
        Interruptible(checkpoint.load(model), stop),
        timed.features,
        timed.durations_s,
        runs=TIMED_RUNS,
    )


def time_runtimes(
    materials: Materials,
    models: Mapping[str, Path],
    exports: Mapping[str, Path],
    scratch: Path,
    *,
    on_timed: Callable[[str, int], None],
) -> list[RuntimeRow]:
    """Time the original and every checkpoint of `models` in every runtime, here and now, on the CPU.

    The original is timed in float32 too. Each checkpoint takes turns with the original, so that no more than two models
    are held in all their forms at once. What the original cannot be exported to, being too large for a file, is left
    out.

    Args:
        materials: the original and the speech.
        models: name in the table -> checkpoint; the first is the one that was exported.
        exports: precision ("float32" or "int8") -> folder of an export of that one.
        scratch: folder that the original and the other checkpoints are exported to in the meantime.
        on_timed: called with each checkpoint that was timed, and how many of them by now.
    """
    utterances = _heard(materials)
    original = _forms(materials, materials.original, {"float32", *exports} if exports else (), scratch / "original")
    rows: list[RuntimeRow] = []
    for n_done, (name, model) in enumerate(models.items(), start=1):
        made = scratch / "compressed"
        forms = _forms(materials, model, exports, made) if rows else _in_torch(model, exports) | _exported(exports)
        contenders = [
            Contender(runtime, called, precision, these[runtime, precision])
            for runtime, precision in forms
            for called, these in (("original", original), (name, forms))
            if (runtime, precision) in original
        ]
        if not rows:
            alone = [form for form in original if form not in forms and form[1] == "float32"]
            contenders += [Contender(runtime, "original", "float32", original[runtime, it]) for runtime, it in alone]
        found = compare_runtimes(contenders, utterances, rounds=TIMED_RUNS, should_stop=materials.should_stop)
        rows += [row for row in found if row.model == name or not rows]
        shutil.rmtree(made, ignore_errors=True)
        on_timed(name, n_done)
    shutil.rmtree(scratch / "original", ignore_errors=True)
    return rows


def _heard(materials: Materials) -> list[Utterance]:
    """A few utterances of dev, again and again where there are not enough."""
    chosen = choose_proxy(materials.dev_utterances, N_HEARD, materials.seed)
    return [materials.dev_utterances[i] for i in islice(cycle(chosen), N_HEARD)]


def _forms(materials: Materials, model: Path, precisions: Collection[str], scratch: Path) -> Forms:
    """The checkpoint `model`, and exports of it in all `precisions`, made now; without those too large for a file."""
    made: dict[str, Path] = {}
    if precisions:
        from shrinkml.export.exporter import Exporter  # jobs without exports need no ONNX

        exporter, speech, stop = Exporter(model), materials.dev_utterances, materials.should_stop
        for precision in precisions:
            with suppress(ExportError):
                exporter.write(scratch / precision, int8=precision == INT8, speech=speech, should_stop=stop)
                made[precision] = scratch / precision
    return _in_torch(model, precisions) | _exported(made)


def _in_torch(model: Path, precisions: Collection[str]) -> Forms:
    """The checkpoint `model` in float, and in int8 where that is one of `precisions` and any layer gains by it."""
    gains = INT8 in precisions and gains_by_int8(checkpoint.load(model).module)
    return {(TORCH, precision): model for precision in ("float32", *([INT8] if gains else []))}


def _exported(folders: Mapping[str, Path]) -> Forms:
    return {(ONNXRUNTIME, precision): folder for precision, folder in folders.items()}


def _run(context: StageContext) -> Timed:
    """Time the final checkpoint, its exports, and the checkpoints of the other steps."""
    materials, checkpoints = context.tools.materials, context.tools.folder.checkpoints
    steps = [outcome.step for outcome in context.outcomes]
    best, exported = best_of(steps).checkpoint, context.find(EXPORT)
    others = [step.checkpoint for step in steps if step.checkpoint != best]
    models = {"compressed": checkpoints / FINAL, **{name: checkpoints / name for name in others}}
    exports = {
        INT8 if row.int8 else "float32": checkpoints / row.name for row in (exported.exports if exported else ())
    }

    def on_timed(name: str, n_done: int) -> None:
        message = f"{FINAL if name == 'compressed' else name} timed beside the original"
        context.teller.tell("timed", f"timed/{name}", message, {"model": name}, n_done=n_done, n_total=len(models))

    faster = time_speed(materials, checkpoints / FINAL)
    return Timed(faster, time_runtimes(materials, models, exports, context.folder, on_timed=on_timed))


def _work(spec: JobSpec, ratio: float, sizes: Sizes) -> Work:
    """A pass of each setting by both models: of small ones more are made, which take no time."""
    return Work(transcribed=8 * N_TIMED, seconds=40.0)


SPEED = Stage("speed", Timed, _run, _work)
