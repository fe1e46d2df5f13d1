"""The part of the speed stage that looks at every runtime: torch, and ONNX Runtime where the job exports."""

import shutil
from collections.abc import Mapping
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from agents.materials import Materials
from shrinkml.export.exporter import export
from shrinkml.runtimes import BATCH_SIZES, Contender, compare_runtimes
from shrinkml.speech.proxy import choose_proxy
from shrinkml.timed_process import ONNXRUNTIME, TORCH

N_HEARD = max(BATCH_SIZES)  # utterances of each pass: the largest batch, once


def time_runtimes(
    materials: Materials, model: Path, exported: Mapping[str, Path], scratch: Path
) -> list[dict[str, Any]]:
    """What the original and the checkpoint `model` cost in every runtime, here and now, on the CPU.

    Args:
        materials: the original and the speech.
        model: what became of it.
        exported: precision ("float32" or "int8") -> folder of an export of `model`.
        scratch: where the original is exported to in the meantime.

    Returns:
        `RuntimeRow`s: see `shrinkml.report.record`.
    """
    pairs = [(TORCH, "float32", materials.original, model)]
    originals = scratch / "original"
    for precision, folder in exported.items():
        int8 = precision == "int8"
        export(materials.original, originals / precision, int8=int8, speech=materials.dev_utterances)
        pairs.append((ONNXRUNTIME, precision, originals / precision, folder))
    contenders = [
        Contender(runtime, name, precision, folder)
        for runtime, precision, *folders in pairs
        for name, folder in zip(("original", "compressed"), folders, strict=True)
    ]
    chosen = choose_proxy(materials.dev_utterances, N_HEARD, materials.seed)
    utterances = [materials.dev_utterances[i] for i in islice(cycle(chosen), N_HEARD)]
    rows = compare_runtimes(contenders, utterances, should_stop=materials.should_stop)
    shutil.rmtree(originals, ignore_errors=True)
    return rows
