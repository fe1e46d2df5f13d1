"""Activations in 8, 6 and 4 bits, before and after training: `python benchmarks/activations.py`.

Every matrix and every activation of a model gets the same bits, as in a job with `activations`: ranges are observed on
200 utterances of train, weights are rounded so that outputs stay close. WER is that of dev. With `--epochs`, each model
is then trained on, with rounding, by the original's posteriors; the original trained as long stands beside it.

The second table has the export of the model in 8 bits beside those in float32 and in dynamic int8: milliseconds of the
processor per utterance in ONNX Runtime, at batch 1 on one thread, medians of rounds in turns, and WER.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from gptq import materials_of
from rows import markdown
from torch import nn

from agents.pipeline.materials import Materials
from agents.pipeline.stages.steps.finetune_stage import Listeners, finetune_
from agents.search.decompose_layers import decomposed, feed
from agents.search.model_evaluator import shrunk
from shrinkml.activations.activation_spec import BITS, SCALE_KINDS, ActivationBits, ActivationSpec, ScaleKind
from shrinkml.activations.full_quantization import fully_quantized
from shrinkml.additions import copied
from shrinkml.compression.sites import current_plan
from shrinkml.export.exporter import export
from shrinkml.export.integers.integer_products import float_products
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.job import FinetuneSpec
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.audio import read_audio
from shrinkml.speech.scoring import word_errors
from shrinkml.storage.checkpoint import save
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition

MODELS = ("reference/ctc", "reference/whisper")
ACCURACY = ("model", "bits", "WER, weights alone", "WER, activations too", "after training")
RUNTIMES = ("model", "export for ONNX Runtime", "products in float", "bytes", "ms per utterance", "WER")
N_TIMED, ROUNDS = 24, 5

Decompositions = dict[str, Decomposition]


class Bench:
    """One model and its speech."""

    def __init__(self, model: str, options: argparse.Namespace) -> None:
        self.name, self._options = model, options
        self.materials: Materials = materials_of(model, options.data)
        n = min(options.utterances, len(self.materials.dev))
        self.dev = self.materials.dev.subset(range(n))
        self.utterances = self.materials.dev_utterances[:n]
        self._known: Decompositions = dict(decomposed(self.materials.model, self.materials.calibration, "whitened"))

    def wer(self, model: AsrModel) -> float:
        """On dev."""
        return word_error_rate(model, self.dev, batch_size=16)

    def weights(self, bits: ActivationBits) -> AsrModel:
        """The model with its weights alone in few bits."""
        present = current_plan(self.materials.model.module)
        choices = {name: replace(present.choice(name), bits=bits) for name in self._known}
        return shrunk(self.materials.model, CompressionPlan(choices), self._known)

    def rounded(self, bits: ActivationBits, scales: ScaleKind = "float") -> AsrModel:
        """The model with weights and activations in few bits."""

        def run(module: nn.Module) -> None:
            feed(cast(AsrModel, module), self.materials.calibration)

        spec = ActivationSpec(bits, scales)
        return cast(AsrModel, fully_quantized(self.materials.model.module, spec, self._known, run))

    def trained(self, model: AsrModel) -> AsrModel:
        """A copy of `model`, trained on."""
        learner = cast(AsrModel, copied(model.module))
        finetune_(
            learner,
            self._train,
            self.materials.held_out,
            FinetuneSpec(learning_rate=self._options.rate),
            epochs=self._options.epochs,
            lost=0.0,
            seed=0,
            warp=0.2,
            soft_targets=self.materials.soft_targets,
            listeners=Listeners(),
            should_stop=lambda: False,
        )
        return learner

    @property
    def _train(self) -> Dataset:
        return self.materials.train

    def accuracy(self) -> Iterator[tuple[str, ...]]:
        """The lines of the first table, first the original's."""
        yield self.name, "float", _percent(self.wer(self.materials.model)), "", self._after(self.materials.model)
        for bits in BITS:
            for kind in self._options.scales:
                model = self.rounded(cast(ActivationBits, bits), kind)
                weights = _percent(self.wer(self.weights(cast(ActivationBits, bits))))
                called = str(bits) if kind == "float" else f"{bits}, {kind}"
                yield "", called, weights, _percent(self.wer(model)), self._after(model)

    def runtimes(self, folder: Path) -> Iterator[tuple[str, ...]]:
        """The lines of the second table."""
        save(self.rounded(8), folder / "rounded")
        ways: dict[str, tuple[str | Path, bool]] = {
            "float32": (self.name, False),
            "dynamic int8": (self.name, True),
            "integers": (folder / "rounded", False),
        }
        for way, (model, int8) in ways.items():
            export(model, folder / way, int8=int8)
        heard = {way: OnnxRecogniser(folder / way) for way in ways}
        waveforms = [read_audio(one.audio, self.materials.model.sample_rate_hz) for one in self.utterances]
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, recogniser in heard.items():
                started = time.process_time()
                for waveform in waveforms[:N_TIMED]:
                    recogniser.transcribe([waveform])
                times[way].append(1e3 * (time.process_time() - started) / len(waveforms[:N_TIMED]))
        for i, (way, recogniser) in enumerate(heard.items()):
            texts = [recogniser.transcribe([waveform])[0] for waveform in waveforms]
            yield (
                "" if i else self.name,
                way,
                str(sum(map(n_float_products, (folder / way).glob("*.onnx")))),
                f"{sum(path.stat().st_size for path in (folder / way).glob('*.onnx')):,}",
                f"{statistics.median(times[way]):.2f}",
                _percent(word_errors([one.text for one in self.utterances], texts).wer),
            )

    def _after(self, model: AsrModel) -> str:
        return _percent(self.wer(self.trained(model))) if self._options.epochs else "-"


def n_float_products(path: Path) -> int:
    """Products of floats in the graph in that file."""
    import onnx

    return len(float_products(onnx.load(path).graph))


def _percent(wer: float) -> str:
    return f"{100 * wer:.2f} %"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="checkpoints; those bundled that have no LSTMs")
    parser.add_argument("--data", type=Path, default=Path("data/commands"), help="folder of the manifests")
    parser.add_argument("--utterances", type=int, default=500, help="of dev, at most")
    parser.add_argument("--epochs", type=int, default=0, help="of training, each with all of train")
    parser.add_argument("--rate", type=float, default=3e-4, help="of the training")
    parser.add_argument("--scales", nargs="+", default=["float"], choices=SCALE_KINDS, help="of activations")
    options = parser.parse_args()
    torch.set_num_threads(1)
    benches = [Bench(model, options) for model in options.models]
    print(markdown(ACCURACY, (row for bench in benches for row in bench.accuracy())), flush=True)
    for bench in benches:
        with TemporaryDirectory() as folder:
            print(markdown(RUNTIMES, bench.runtimes(Path(folder))), flush=True)


if __name__ == "__main__":
    main()
