"""Weights of few bits, rounded to the nearest or so that outputs stay close: `python benchmarks/gptq.py`.

Every matrix of a model gets the same bits, nothing is trained. Layers are calibrated on speech of train, with the
model's own transcripts where a job would take these; WER is that of dev. Two ways to round, with the same scales: each
weight to its nearest number, and each so that what the weights before it cost the outputs is made up for (GPTQ, which
jobs use).
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from rows import markdown

from agents.pipeline.materials import Materials
from agents.search.decompose_layers import decomposed
from agents.search.model_evaluator import shrunk
from shrinkml.job import JobSpec
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition

MODELS = ("reference/las", "reference/ctc", "reference/whisper")
BITS = (2, 3, 4, 5, 6, 8)
COLUMNS = ("model", "bits", "WER, nearest", "WER, GPTQ")


def materials_of(model: str, data: Path) -> Materials:
    """The model and its speech, as a job has them."""
    splits = {split: str(data / f"{split}.jsonl") for split in ("train", "dev", "test")}
    spec = JobSpec.model_validate({"name": "gptq", "model": model, "data": splits, "goal": {"compression_ratio": 2.0}})
    return Materials(spec.model, spec.data, seed=spec.seed, should_stop=lambda: False)


def blind(found: Mapping[str, Decomposition]) -> dict[str, Decomposition]:
    """The same without anything that is known of inputs: weights are then rounded to the nearest."""
    return {name: replace(one, root=one.root.new_empty(0, 0)) for name, one in found.items()}


def rows(model: str, data: Path, n_utterances: int) -> Iterator[tuple[str, ...]]:
    """The lines of `model`, first the original's."""
    materials = materials_of(model, data)
    dev = materials.dev.subset(range(min(n_utterances, len(materials.dev))))
    known = dict(decomposed(materials.model, materials.calibration, "whitened"))
    whole = _percent(materials, dev, CompressionPlan(), known)
    yield model, "as they are", whole, whole
    for bits in BITS:
        plan = CompressionPlan({name: Choice(bits=bits) for name in known})
        yield "", str(bits), _percent(materials, dev, plan, blind(known)), _percent(materials, dev, plan, known)


def _percent(materials: Materials, dev: Dataset, plan: CompressionPlan, known: Mapping[str, Decomposition]) -> str:
    return f"{100 * word_error_rate(shrunk(materials.model, plan, known), dev, batch_size=16):.2f} %"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="checkpoints; the bundled ones, if absent")
    parser.add_argument("--data", type=Path, default=Path("data/commands"), help="folder of the manifests")
    parser.add_argument("--utterances", type=int, default=500, help="of dev, at most")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(markdown(COLUMNS, (row for model in options.models for row in rows(model, options.data, options.utterances))))


if __name__ == "__main__":
    main()
