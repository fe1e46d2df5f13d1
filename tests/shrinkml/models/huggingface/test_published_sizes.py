"""Whisper in its published sizes, with random weights."""

import pytest
import torch

import shrinkml
from shrinkml.compression.calibration import calibrate
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.models.heads import ATTENTION
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save, stored_parameters

TEXTS = ["turn on the light"]


# The parameters are those of openai/whisper-tiny and -base, the tied output layer counted once.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "layers", "parameters"), [(384, 4, 37_760_640), (512, 6, 72_593_920)], ids=["tiny", "base"]
)
def test_whisper_of_full_size_is_compressed_and_opened_again(width, layers, parameters, stock_dir, waveforms, tmp_path):
    import transformers

    heads, inner = width // 64, 4 * width
    shape = {"encoder_layers": layers, "encoder_attention_heads": heads, "encoder_ffn_dim": inner}
    shape |= {"decoder_layers": layers, "decoder_attention_heads": heads, "decoder_ffn_dim": inner}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(d_model=width, **shape))
    network.save_pretrained(tmp_path / "stock")
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path / "stock")
    transformers.AutoTokenizer.from_pretrained(stock_dir("whisper")).save_pretrained(tmp_path / "stock")

    model = shrinkml.load(tmp_path / "stock")
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    features = [model.features(waveforms[0])]
    stats = calibrate(model, lambda: model.teacher_forced(features, TEXTS))
    plan = CompressionPlan.of_ranks({layer.name: layer.break_even_rank // 4 for layer in find_layers(model)})
    small = factorize(model, plan, decompose(model, "whitened", stats))
    save(small, tmp_path / "small", dtype="float16")
    back = shrinkml.load(tmp_path / "small")
    assert stored_parameters(tmp_path / "small") < parameters / 3.5
    before, after = (one.teacher_forced(features, TEXTS)[ATTENTION].logits for one in (small, back))
    torch.testing.assert_close(after, before, atol=0.02, rtol=0)  # stored in half precision
