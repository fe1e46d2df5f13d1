import pytest
import torch
import yaml

import shrinkml
from shrinkml.errors import ConfigError, UnknownNameError
from shrinkml.models.huggingface_fresh import fresh
from shrinkml.training_job import read_recipe, train_from_recipe

SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "num_mel_bins": 16,
    "subsampling_conv_channels": 8,
}
TEXTS = ["turn on the light", "turn the radio off"]


@pytest.fixture(scope="module")
def model():
    return fresh("parakeet_ctc", SHAPE, TEXTS, seed=3)


def test_every_word_is_a_token_and_comes_back(model):
    tokens = model.text.encode("turn off the light", special=False)
    assert len(tokens) == 4
    assert model.text.decode(tokens) == "turn off the light"


def test_the_seed_decides_the_weights_alone(model):
    same, other = (fresh("parakeet_ctc", SHAPE, TEXTS, seed=seed) for seed in (3, 4))
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, same.state_dict()[name]), name
    assert not torch.equal(model.network.ctc_head.weight, other.network.ctc_head.weight)


def test_a_recipe_trains_it_to_a_checkpoint(tmp_path, tiny_data):
    recipe = {split: str(path) for split, path in tiny_data.items()}
    recipe |= {"family": "parakeet_ctc", "shape": SHAPE, "epochs": 1, "batch_size": 16, "dtype": "float32"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    figures = train_from_recipe(read_recipe(tmp_path / "recipe.yaml"), tmp_path / "model")
    loaded = shrinkml.load(tmp_path / "model")
    assert figures["test"]["parameters"] == sum(p.numel() for p in loaded.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"family": "rnnt"}, "allowed: las, parakeet_ctc"), ({"family": "parakeet_ctc", "unit": "char"}, "word")],
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
