"""A tiny Whisper with OpenAI's features, half of its ranks, that writes letters, and its networks."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import shrinkml
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.models.huggingface.onnx.whisper_networks import trace_networks
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.plan.compression_plan import CompressionPlan


@pytest.fixture(scope="package")
def lettered(stock_dir) -> HuggingFaceSeq2Seq:
    """Random factors; what is no letter is never written, the end not first."""
    model = shrinkml.load(stock_dir("whisper"))
    plan = CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})
    small = reshape(model, plan)
    torch.manual_seed(1)
    for parameter in (p for p in small.parameters() if p.dim() > 1):
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    config = small.network.generation_config
    texts = [small.text.decode([token]) for token in range(small.network.config.vocab_size)]
    config.suppress_tokens = [token for token, text in enumerate(texts) if not (text.isascii() and text.isalpha())]
    config.suppress_tokens.remove(small.end)
    config.begin_suppress_tokens = [small.end]
    return small.eval()


@pytest.fixture(scope="package")
def networks(lettered: HuggingFaceSeq2Seq) -> dict[str, onnx.GraphProto]:
    """As they were traced."""
    return trace_networks(lettered)


@pytest.fixture(scope="package")
def noise() -> list[np.ndarray]:
    """Waveforms of unequal length."""
    random = np.random.default_rng(0)
    return [random.normal(0.01, 0.1, round(s * 16_000)).astype(np.float32) for s in (1.3, 0.4, 1.9)]


@pytest.fixture
def arranged(lettered, networks, tmp_path):
    """Writes a layout to a new folder, in float or int8."""

    def write(layout, *, int8: bool = False) -> Path:
        from shrinkml.export.graph import Storage
        from shrinkml.export.stock import stored

        folder = tmp_path / ("int8" if int8 else "float")
        folder.mkdir()
        parts = {name: stored(part, layout, Storage(int8=int8)) for name, part in networks.items()}
        layout.arrange(lettered, parts, folder, int8)
        return folder

    return write
