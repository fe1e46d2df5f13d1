"""Memory and time of big models: `python benchmarks/memory.py --sizes tiny base`.

Whisper in the full shapes of a published size, with random weights, is calibrated on clips of real speech, decomposed
and written as a checkpoint a quarter as large, by the functions that a job uses and in a process of its own. The first
table has what that took on this machine; the peak counts pages of files that are mapped, which the system takes back
when it needs them. The second has, from the layers' shapes alone, what every size needs beside the model and the
libraries (some 400 MB), also the sizes that this machine has no room for: on the disk, the gram matrices and
decompositions of all layers, and in memory the most that is there of them at a time.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from torch import nn

from agents.search.decompose_layers import ACTIVATION_BYTES, FLOAT32_BYTES, decomposed
from agents.search.workspace import StoredDecompositions, write_factors
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import BLOCK, TALL
from shrinkml.compression.sites import find_layers, model_cost
from shrinkml.models.huggingface.dense_copy import write_merged
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.speech.corpora import librispeech
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage import checkpoint
from shrinkml.training.dataset import load_dataset

MB = 2**20
RANK_SHARE = 0.25  # of each layer's break-even rank
FLOAT64_BYTES = 8
# Of Radford et al. 2022 (arXiv:2212.04356), table 1: width, layers of encoder and of decoder, heads, mel bands, tokens.
SIZES = {
    "tiny": (384, 4, 6, 80, 51865),
    "base": (512, 6, 8, 80, 51865),
    "small": (768, 12, 12, 80, 51865),
    "medium": (1024, 24, 16, 80, 51865),
    "large-v3": (1280, 32, 20, 128, 51866),
}
MEASURED = (
    "size", "parameters", "model MB", "libraries MB", "step", "seconds", "of the processor", "peak MB above the model",
    "files mapped at its end MB",
)  # fmt: skip
HELD = (
    "size", "model MB", "all gram matrices MB", "all decompositions MB", "in memory while calibrating MB",
    "while decomposing MB", "while writing MB",
)  # fmt: skip


def shape(size: str) -> dict[str, int]:
    """The fields of the config of a Whisper of that size, but for its tokens."""
    width, layers, heads, n_mels, _ = SIZES[size]
    both = {"layers": layers, "attention_heads": heads, "ffn_dim": 4 * width}
    parts = {f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in both.items()}
    return {"d_model": width, "num_mel_bins": n_mels, "max_source_positions": 1500, **parts}


def make(size: str, folder: Path) -> None:
    """Writes a Whisper of that size with random weights to `folder`, as transformers would."""
    model = fresh("whisper", shape(size), ["a"], seed=0)
    model.network.resize_token_embeddings(SIZES[size][-1], mean_resizing=False)
    folder.mkdir()
    write_merged(model, folder)


def measure(folder: Path, manifest: Path, clips: int, factorizer: str) -> Iterator[dict[str, Any]]:
    """What each step takes in this process, which has done nothing else."""
    libraries_mb = status_mb("VmRSS")
    steps = Steps()
    model = checkpoint.load(folder)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    facts = {
        "parameters": parameters,
        "model_mb": FLOAT32_BYTES * parameters / MB,
        "libraries_mb": libraries_mb,
    }
    yield facts | steps.done("load")
    speech = load_dataset(model, read_manifest(manifest)[:clips])
    yield facts | steps.done(f"features of {clips} clips, {speech.audio_s:.0f} s")
    workspace = folder.with_name("workspace")
    workspace.mkdir()
    write_factors(workspace, decomposed(model, speech, factorizer, workspace))
    yield facts | steps.done(f"calibrate, decompose ({factorizer})")
    small = factorize(model, smaller(find_layers(model)), StoredDecompositions(workspace))
    checkpoint.save(small, folder.with_name("result"))
    yield facts | steps.done("factorize, write")


def smaller(layers: Iterable[LayerSpec]) -> CompressionPlan:
    """Every layer at the same share of its break-even rank."""
    return CompressionPlan.of_ranks({layer.name: max(1, int(RANK_SHARE * layer.break_even_rank)) for layer in layers})


class Steps:
    """The clocks and the high-water mark of this process, step by step (Linux)."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
        self._started = time.monotonic(), time.process_time()

    def done(self, step: str) -> dict[str, Any]:
        """What the step took that ends here; the next one begins."""
        now = time.monotonic(), time.process_time()
        seconds, processor_s = (end - start for end, start in zip(now, self._started, strict=True))
        found = {"step": step, "seconds": seconds, "processor_s": processor_s}
        found |= {"peak_mb": status_mb("VmHWM"), "mapped_mb": status_mb("RssFile")}
        self._start()
        return found


def status_mb(name: str) -> float:
    """A line of the status of this process, in MB."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None, f"no {name} on this system"
    return int(found[1]) / 1024


def held(size: str) -> tuple[str, ...]:
    """The cells of what a size needs beside the model, from its shapes."""
    with torch.device("meta"):
        config = transformers.WhisperConfig(**shape(size), vocab_size=SIZES[size][-1])
        network = transformers.WhisperForConditionalGeneration(config)
    layers = {layer.name: layer for layer in find_layers(network)}
    lookups = {name for name, layer in layers.items() if layer.kind == "embedding" and not is_tied(network, name)}
    grams = {name: FLOAT32_BYTES * layer.in_features**2 for name, layer in layers.items() if name not in lookups}
    frames = config.max_source_positions
    widest = max(layer.in_features + layer.out_features for name, layer in layers.items() if "encoder" in name)
    batch = max(1, ACTIVATION_BYTES // (FLOAT32_BYTES * frames * widest))
    activations = batch * FLOAT32_BYTES * frames * widest
    calibrating = 3 * (max(grams.values()) + activations)  # a matrix before, its sum, and that in its file
    decomposing = max(grams.get(name, 0) + room(layer, name in grams) for name, layer in layers.items())
    result = FLOAT32_BYTES * model_cost(network).parameters(smaller(layers.values()))
    writing = result + max(map(factors_bytes, layers.values()))
    found = (
        FLOAT32_BYTES * sum(parameter.numel() for parameter in network.parameters()),
        sum(grams.values()),
        sum(factors_bytes(layer) for layer in layers.values()),
    )
    return (size, *(f"{n_bytes / MB:,.0f}" for n_bytes in (*found, calibrating, decomposing, writing)))


def is_tied(network: nn.Module, layer: str) -> bool:
    """Whether the embedding is the output layer as well, which multiplies."""
    return network.get_parameter(layer) is network.get_output_embeddings().weight  # type: ignore[operator]


def factors_bytes(layer: LayerSpec) -> int:
    return FLOAT32_BYTES * layer.max_rank * (layer.out_features + layer.in_features)


def room(layer: LayerSpec, whitened: bool) -> int:
    """What one decomposition takes: its factors, and copies in double precision of what it is made from."""
    n_out, n_in, rank = layer.out_features, layer.in_features, layer.max_rank
    grams = FLOAT64_BYTES * 2 * n_in**2 if whitened else 0  # and its Cholesky factor
    if n_out >= TALL * n_in:
        return factors_bytes(layer) + grams + FLOAT64_BYTES * (7 * n_in**2 + 2 * BLOCK * n_in)
    dense = 2 * n_out * n_in + n_out * rank + 4 * rank**2  # LAPACK's copy, result and workspace
    return factors_bytes(layer) + grams + (FLOAT64_BYTES if whitened else FLOAT32_BYTES) * dense


def in_process(*arguments: str) -> Iterator[dict[str, Any]]:
    """What this program prints in a process of its own, as JSON lines, while it does."""
    command = [sys.executable, __file__, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield from map(json.loads, process.stdout)
    if process.returncode:
        raise SystemExit(process.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["tiny", "base"], choices=SIZES, help="to measure")
    parser.add_argument("--clips", type=int, default=100, help="utterances to calibrate on")
    parser.add_argument("--factorizer", default="whitened", help="name of a factorizer")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    source = Path("../shared/data/librispeech_dev_clean_20spk")
    parser.add_argument("--source", type=Path, default=source, help="a folder of LibriSpeech")
    parser.add_argument("--in-process", nargs=3, metavar=("MAKE|MEASURE", "FOLDER", "MANIFEST|SIZE"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.in_process:
        what, folder, given = arguments.in_process
        if what == "make":
            make(given, Path(folder))
            return
        for found in measure(Path(folder), Path(given), arguments.clips, arguments.factorizer):
            print(json.dumps(found), flush=True)
        return
    options = ["--clips", str(arguments.clips), "--factorizer", arguments.factorizer]
    options += ["--threads", str(arguments.threads)]
    head(MEASURED)
    for size in arguments.sizes:
        with TemporaryDirectory() as root:
            folder, manifests = Path(root) / size, librispeech.prepare(Path(root) / "speech", arguments.source)
            list(in_process("--in-process", "make", str(folder), size))
            for found in in_process(*options, "--in-process", "measure", str(folder), str(manifests["train"])):
                row(
                    size,
                    f"{found['parameters'] / 1e6:.0f} M",
                    f"{found['model_mb']:,.0f}",
                    f"{found['libraries_mb']:,.0f}",
                    found["step"],
                    f"{found['seconds']:.0f}",
                    f"{found['processor_s']:.0f}",
                    f"{found['peak_mb'] - found['model_mb']:,.0f}",
                    f"{found['mapped_mb']:,.0f}",
                )
    print()
    head(HELD)
    for size in SIZES:
        row(*held(size))


def head(columns: tuple[str, ...]) -> None:
    row(*columns)
    row(*("---" for _ in columns))


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
