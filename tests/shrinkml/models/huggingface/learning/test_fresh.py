import pytest
import torch
import yaml
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq

import shrinkml
from shrinkml.errors import ConfigError, UnknownNameError
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.storage.checkpoint import inspect
from shrinkml.training.training_job import read_recipe, train_from_recipe

SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_mel_bins": 16,
    "subsampling_conv_channels": 8,
}
WHISPER_SHAPE = {
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "num_mel_bins": 16,
    "max_source_positions": 200,
    "max_target_positions": 40,
}
SHAPES = {"parakeet_ctc": SHAPE, "whisper": WHISPER_SHAPE}
TEXTS = ["turn on the light", "turn the radio off"]


@pytest.fixture(scope="module", params=sorted(SHAPES))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    return fresh(kind, SHAPES[kind], TEXTS, seed=3)


def test_every_word_is_a_token_and_comes_back(model):
    tokens = model.text.encode("turn off the light")
    assert len(tokens) == 4
    assert model.text.decode(tokens) == "turn off the light"


def test_the_seed_decides_the_weights_alone(kind, model):
    same, other = (fresh(kind, SHAPES[kind], TEXTS, seed=seed).state_dict() for seed in (3, 4))
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, same[name]), name
    assert any(not torch.equal(weight, other[name]) for name, weight in model.state_dict().items())


def test_a_recipe_trains_it_to_a_folder_that_transformers_opens(kind, tmp_path, tiny_data):
    recipe = {split: str(path) for split, path in tiny_data.items()}
    recipe |= {"family": kind, "shape": SHAPES[kind], "epochs": 1, "batch_size": 16, "mixed_precision": True}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    folder = tmp_path / "model"
    figures = train_from_recipe(read_recipe(tmp_path / "recipe.yaml"), folder)
    loaded = shrinkml.load(folder)
    assert figures["test"]["parameters"] == sum(p.numel() for p in loaded.parameters())
    assert inspect(folder).dtype == "float16"
    auto = {"parakeet_ctc": AutoModelForCTC, "whisper": AutoModelForSpeechSeq2Seq}[kind]
    stock = auto.from_pretrained(folder, local_files_only=True)
    assert stock.dtype == torch.float32  # what a processor's output fits
    own = {name.removeprefix("network."): parameter for name, parameter in loaded.named_parameters()}
    for name, parameter in stock.named_parameters():
        assert torch.equal(parameter.flatten(1) if own[name].dim() == 2 else parameter, own[name]), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"family": "rnnt"}, "allowed: las, transducer, transformer, parakeet_ctc, whisper"),
        ({"family": "parakeet_ctc", "unit": "char"}, "word"),
        ({"mixed_precision": True}, "allowed for a LAS: false"),
    ],
)
def test_a_recipe_for_what_there_is_not_is_a_clear_error(tmp_path, change, message):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({"train": "a", "dev": "b", "test": "c", **change}))
    with pytest.raises(ConfigError, match=message):
        read_recipe(tmp_path / "recipe.yaml")


def test_a_kind_or_shape_that_there_is_not_is_a_clear_error():
    with pytest.raises(UnknownNameError, match="parakeet_ctc"):
        fresh("rnnt", {}, TEXTS, seed=0)
    with pytest.raises(ConfigError, match="hidden_size"):
        fresh("parakeet_ctc", {**SHAPE, "hidden_size": "wide"}, TEXTS, seed=0)
    with pytest.raises(ConfigError, match="hiden_size"):
        fresh("parakeet_ctc", {**SHAPE, "hiden_size": 16}, TEXTS, seed=0)
    with pytest.raises(ConfigError, match="max_source_positions is 130"):
        fresh("whisper", {**WHISPER_SHAPE, "max_source_positions": 130}, TEXTS, seed=0)


def test_the_tokenizer_of_a_whisper_has_the_prompt_that_generation_gives():
    model = fresh("whisper", WHISPER_SHAPE, TEXTS, seed=0)
    given = [token for (token,) in model.prompt]
    assert model.text.tokenizer("turn on").input_ids == [*given, *model.text.encode("turn on"), model.end]
