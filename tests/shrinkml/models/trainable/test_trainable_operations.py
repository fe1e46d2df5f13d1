"""Building, writing and drawing afresh: the same for every family of our own."""

import pytest
import torch

from shrinkml.errors import CheckpointError, ConfigError
from shrinkml.models.family import FreshModel
from shrinkml.models.las.las_operations import OPERATIONS as LAS
from shrinkml.models.tokenizer import SPECIAL
from shrinkml.models.transducer.transducer_operations import OPERATIONS as TRANSDUCER
from shrinkml.models.transformer.transformer_operations import OPERATIONS as TRANSFORMER

SHAPES = {
    "las": {"n_mels": 8, "stack": 2, "hidden": 12, "decoder": 10, "embedding": 6},
    "transducer": {"n_mels": 8, "stack": 2, "hidden": 12, "look_ahead": 6, "decoder": 10, "embedding": 6, "joint": 8},
    "tied": {"n_mels": 8, "stack": 2, "hidden": 12, "look_ahead": 6, "prediction": "tied", "joint": 8},
    "transformer": {"n_mels": 8, "hidden": 12, "heads": 2, "feed_forward": 16, "encoder_layers": 2, "memory": 3},
}
OPERATIONS = {"las": LAS, "transducer": TRANSDUCER, "tied": TRANSDUCER, "transformer": TRANSFORMER}
KINDS = pytest.mark.parametrize("kind", SHAPES)


def fresh(kind, unit="word", seed=3, **change):
    return OPERATIONS[kind].fresh(FreshModel(kind, {**SHAPES[kind], **change}, ["on off", "off"], unit, seed=seed))


@KINDS
def test_a_described_model_is_built_again_with_its_shape_and_vocabulary(kind, tmp_path):
    model = fresh(kind, reductions=[2])
    OPERATIONS[kind].write(model, tmp_path)
    again = OPERATIONS[kind].build(OPERATIONS[kind].describe(model), tmp_path)
    assert again.config == model.config
    assert (again.tokenizer.vocabulary, again.tokenizer.unit) == (model.tokenizer.vocabulary, "word")
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


@KINDS
def test_a_folder_with_a_foreign_vocabulary_is_refused(kind, tmp_path):
    (tmp_path / "vocabulary.txt").write_text("on\noff\n")
    with pytest.raises(CheckpointError, match="a vocabulary starts with <blank>, <end>, <unk>"):
        OPERATIONS[kind].build({"model": SHAPES[kind], "unit": "word"}, tmp_path)


@KINDS
@pytest.mark.parametrize(("unit", "tokens"), [("word", ["off", "on"]), ("char", [" ", "f", "n", "o"])])
def test_a_fresh_model_knows_the_tokens_of_its_texts(kind, unit, tokens):
    assert fresh(kind, unit).tokenizer.vocabulary == (*SPECIAL, *tokens)


@KINDS
def test_its_weights_depend_on_the_seed_alone(kind):
    before = torch.random.get_rng_state()
    one, same, other = (fresh(kind, seed=seed).output.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@KINDS
def test_an_impossible_shape_is_refused(kind):
    with pytest.raises(ConfigError, match="hidden is 0; allowed: 1 or more"):
        fresh(kind, hidden=0)
