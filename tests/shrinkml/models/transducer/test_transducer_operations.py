import pytest
import torch

from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.export.drawn import OUTPUT
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.models.family import FreshModel
from shrinkml.models.tokenizer import SPECIAL
from shrinkml.models.transducer.transducer_operations import OPERATIONS, build, describe, draw, fresh, write
from shrinkml.models.transducer.transducer_stream import TransducerStream

SHAPE = {"n_mels": 8, "stack": 2, "hidden": 12, "look_ahead": 6, "decoder": 10, "embedding": 6, "joint": 8}


def wanted(unit="word", seed=3, **shape):
    return FreshModel("transducer", {**SHAPE, **shape}, ["on off", "off"], unit, seed=seed)


@pytest.mark.parametrize("prediction", ["lstm", "tied"])
def test_a_described_model_is_built_again_with_its_shape_and_vocabulary(prediction, tmp_path):
    model = fresh(wanted(reductions=[2], prediction=prediction))
    write(model, tmp_path)
    again = build(describe(model), tmp_path)
    assert again.config == model.config
    assert (again.tokenizer.vocabulary, again.tokenizer.unit) == (model.tokenizer.vocabulary, "word")
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


def test_a_folder_with_a_foreign_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocabulary.txt").write_text("on\noff\n")
    with pytest.raises(CheckpointError, match="a vocabulary starts with <blank>, <end>, <unk>"):
        build({"model": SHAPE, "unit": "word"}, tmp_path)


@pytest.mark.parametrize(("unit", "tokens"), [("word", ["off", "on"]), ("char", [" ", "f", "n", "o"])])
def test_a_fresh_model_knows_the_tokens_of_its_texts(unit, tokens):
    assert fresh(wanted(unit)).tokenizer.vocabulary == (*SPECIAL, *tokens)


def test_its_weights_depend_on_the_seed_alone():
    before = torch.random.get_rng_state()
    one, same, other = (fresh(wanted(seed=seed)).output.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_impossible_shape_is_refused():
    with pytest.raises(ConfigError, match="hidden is 0; allowed: 1 or more"):
        fresh(wanted(hidden=0))


def test_its_graphs_are_an_encoder_and_a_decoder():
    drawn = draw(fresh(wanted()).eval())
    assert list(drawn.components) == [ENCODER, DECODER, OUTPUT]
    assert drawn.components[OUTPUT] == ("output.weight",)


def test_it_streams():
    assert OPERATIONS.stream is TransducerStream
