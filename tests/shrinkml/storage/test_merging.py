"""Dense copies that transformers opens by itself."""

import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import CheckpointError, ExportError
from shrinkml.models.trimmed import rank_vocabulary, trim_vocabulary
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save, stored_parameters
from shrinkml.storage.merging import save_merged
from shrinkml.storage.model_folder import look_into

KINDS = ["whisper", "speech_to_text", "moonshine", "wav2vec2", "hubert", "wavlm", "wav2vec2-conformer", "parakeet_ctc"]
TOLERANCE = 1e-5  # float32 rounding: the products are added up in another order

# Opens each folder as its card says, and compares its scores with those in scores.safetensors beside it.
READER = f"""
import sys, torch
from pathlib import Path
from safetensors.torch import load_file
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor
for folder in map(Path, sys.argv[1:]):
    inputs = load_file(folder.parent / "scores.safetensors")
    logits = inputs.pop("logits")
    kind = AutoModelForSpeechSeq2Seq if "decoder_input_ids" in inputs else AutoModelForCTC
    assert kind.__name__ in (folder / "README.md").read_text()
    with torch.no_grad():
        torch.testing.assert_close(kind.from_pretrained(folder)(**inputs).logits, logits, atol={TOLERANCE}, rtol=0)
    processor = AutoProcessor.from_pretrained(folder)
    processor.tokenizer, processor.feature_extractor
assert "shrinkml" not in sys.modules
"""


@pytest.fixture
def small_dir(stock_dir, tmp_path):
    """Model type -> a checkpoint of ours with every layer at half of its break-even rank."""

    def folder(kind):
        model = shrinkml.load(stock_dir(kind))
        plan = CompressionPlan.of_ranks(
            {layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)}
        )
        save(factorize(model, plan, decompose(model)), tmp_path / kind / "small")
        return tmp_path / kind / "small"

    return folder


def write_scores(model, waveform, path):
    """What goes into the network of `model`, and the logits that come out."""
    inputs = {model.speech.main_input: model.speech.batch([model.features(waveform)], torch.device("cpu")).values}
    if model.network.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        logits = model.network(**inputs).logits
    save_file({name: x.contiguous() for name, x in {**inputs, "logits": logits}.items()}, path)


def test_transformers_opens_them_without_us_and_computes_the_same(small_dir, waveforms, tmp_path):
    folders = []
    for kind in KINDS:
        small = small_dir(kind)
        write_scores(shrinkml.load(small), waveforms[0], small.parent / "scores.safetensors")
        folders.append(small.with_name("dense"))
        save_merged(small, folders[-1])
    command = [sys.executable, "-c", READER, *map(str, folders)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_copy_is_as_large_as_the_original_and_says_so(small_dir, stock_dir, tmp_path):
    small = small_dir("whisper")
    save_merged(small, tmp_path / "dense")
    original = sum(parameter.numel() for parameter in shrinkml.load(stock_dir("whisper")).parameters())
    assert stored_parameters(tmp_path / "dense") == original > stored_parameters(small)
    card = (tmp_path / "dense" / "README.md").read_text()
    assert "This copy saves nothing" in card
    assert look_into(small).digest in card
    assert f"{stored_parameters(small):,}" in card
    assert f"{original:,}" in card


def test_the_copy_of_a_trimmed_model_says_so_and_its_card_tells_the_way_back(tmp_path, capsys):
    original = shrinkml.load("reference/whisper")
    trimmed = trim_vocabulary(original, rank_vocabulary(original, ["turn on the light"]), 640)
    save(trimmed, tmp_path / "trimmed")
    save_merged(tmp_path / "trimmed", tmp_path / "dense")
    card = (tmp_path / "dense" / "README.md").read_text()
    assert "holds no factors: this copy has the same" in card
    assert "It writes 640 tokens; the original has more." in card
    assert "saves nothing" not in card
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", card, re.DOTALL | re.MULTILINE))
    exec(program.replace("path/to/this/folder", str(tmp_path / "dense")), {})
    old = original.text.tokenizer(" hello").input_ids
    assert capsys.readouterr().out.splitlines()[-1] == str(old)
    assert trimmed.text.tokenizer(" hello").input_ids != old


def test_the_copy_of_a_trimmed_and_factorized_model_saves_its_tokens_alone(tmp_path):
    original = shrinkml.load("reference/whisper")
    trimmed = trim_vocabulary(original, rank_vocabulary(original, ["turn on the light"]), 640)
    plan = CompressionPlan.of_ranks({layer.name: 8 for layer in find_layers(trimmed) if "encoder" in layer.name})
    save(factorize(trimmed, plan, decompose(trimmed)), tmp_path / "small")
    save_merged(tmp_path / "small", tmp_path / "dense")
    card = (tmp_path / "dense" / "README.md").read_text()
    assert "**This copy saves nothing but the tokens that were left out.**" in card
    assert "as large and as slow as before it was factorized" in card


def test_the_copy_of_a_checkpoint_in_half_precision_is_in_half_precision(small_dir, tmp_path):
    save(shrinkml.load(small_dir("wav2vec2")), tmp_path / "half", dtype="float16")
    save_merged(tmp_path / "half", tmp_path / "dense")
    tensors = load_file(tmp_path / "dense" / "model.safetensors").values()
    assert {tensor.dtype for tensor in tensors} == {torch.float16}
    assert "parameters in float16" in (tmp_path / "dense" / "README.md").read_text()
    shrinkml.load(tmp_path / "dense")


def test_a_las_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ExportError, match="is of family 'las', which nothing but ShrinkML opens"):
        save_merged("reference/las", tmp_path / "dense")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_is_left_alone(small_dir, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").touch()
    with pytest.raises(
        CheckpointError, match=r"photos is there and holds what ShrinkML did not write: holiday\.jpg; write to"
    ):
        save_merged(small_dir("wav2vec2"), tmp_path / "photos")
    assert (tmp_path / "photos" / "holiday.jpg").exists()


def test_a_checkpoint_is_not_replaced_by_its_own_copy(small_dir):
    small = small_dir("wav2vec2")
    digest = look_into(small).digest
    for folder in (small, small / "dense", small / ".." / small.name):
        with pytest.raises(CheckpointError, match=r"is the checkpoint to merge or lies in it \(.*small\); write to"):
            save_merged(small, folder)
    assert look_into(small).digest == digest
    save_merged(small, small.with_name("dense"))
    save_merged(small, small.with_name("dense"))
