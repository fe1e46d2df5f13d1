from pathlib import Path

import yaml

import shrinkml
from shrinkml.export.drawn import OUTPUT
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.models.family import FreshModel
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.models.transformer.transformer_operations import OPERATIONS, draw
from shrinkml.training.training_job import read_recipe, train_from_recipe

RECIPE = Path(__file__).parents[4] / "configs" / "train" / "transformer.yaml"

SHAPE = {"n_mels": 8, "hidden": 8, "heads": 2, "feed_forward": 8, "encoder_layers": 1, "decoder_layers": 1}


def test_its_graphs_are_an_encoder_and_a_decoder():
    model = OPERATIONS.fresh(FreshModel("transformer", SHAPE, ["on off"], "word", seed=3)).module.eval()
    assert isinstance(model, Transformer)
    components = draw(model).components
    assert list(components) == [ENCODER, DECODER, OUTPUT]
    assert components[OUTPUT] == ("output.weight",)


def test_it_hears_an_utterance_whole():
    assert OPERATIONS.stream is None


def test_the_recipe_makes_a_model_with_layers_to_share_that_is_small_enough_to_be_bundled():
    recipe = read_recipe(RECIPE)
    assert recipe.family == "transformer"
    words = " ".join(f"word{n}" for n in range(200))  # the commands have about half as many
    model = OPERATIONS.fresh(FreshModel("transformer", recipe.shape, [words], recipe.unit, seed=0)).module
    assert model.config.encoder_layers >= 12
    assert sum(parameter.numel() for parameter in model.parameters()) * 2 < 16e6, "bytes in half precision"


def test_a_recipe_becomes_a_checkpoint(tiny_data, tmp_path):
    value = {**{split: str(path) for split, path in tiny_data.items()}, "family": "transformer"}
    value |= {"shape": SHAPE, "unit": "char", "epochs": 1, "batch_size": 16, "mixed_precision": True}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value))
    figures = train_from_recipe(read_recipe(tmp_path / "recipe.yaml"), tmp_path / "model")
    model = shrinkml.load(tmp_path / "model")
    assert isinstance(model, Transformer)
    assert figures["test"]["parameters"] == sum(parameter.numel() for parameter in model.parameters())
