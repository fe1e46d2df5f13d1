import pytest
import torch

import shrinkml
from shrinkml.errors import ConfigError, ExportError, UnknownNameError
from shrinkml.models.family import FreshModel
from shrinkml.models.huggingface.ctc_model import HuggingFaceCtc
from shrinkml.models.huggingface.huggingface_operations import (
    build,
    describe,
    draw_afresh,
    draw_seq2seq,
    learner,
)
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq


@pytest.mark.parametrize(("kind", "wanted"), [("whisper", HuggingFaceSeq2Seq), ("wav2vec2", HuggingFaceCtc)])
def test_a_described_model_is_built_again(stock_dir, kind, wanted):
    model = shrinkml.load(stock_dir(kind))
    again = build(describe(model), stock_dir(kind))
    assert type(again) is type(model) is wanted
    assert {n: p.shape for n, p in again.named_parameters()} == {n: p.shape for n, p in model.named_parameters()}


def test_an_unknown_kind_is_not_drawn():
    with pytest.raises(UnknownNameError, match="no kind of model named 'rnnt'; known: parakeet_ctc, whisper"):
        draw_afresh(FreshModel("rnnt", {}, ["on"], "word", 0))


def test_the_head_that_teaches_depends_on_the_seed_alone(stock_dir):
    model = shrinkml.load(stock_dir("whisper"))
    before = torch.random.get_rng_state()
    one, same, other = (learner(model, seed).ctc.weight for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert learner(model, 1).learner is model


def test_a_kind_that_nobody_has_tried_is_not_drawn(stock_dir):
    model = shrinkml.load(stock_dir("speech-encoder-decoder"))
    with pytest.raises(
        ExportError, match="a speech-encoder-decoder network cannot be exported to ONNX; allowed: whisper"
    ):
        draw_seq2seq(model)


def test_a_short_window_is_described_and_built_again(stock_dir):
    model = shrinkml.load(stock_dir("whisper"))
    assert "window_tail_s" not in describe(model)
    model.window_tail_s = 0.5
    assert build(describe(model), stock_dir("whisper")).window_tail_s == 0.5


@pytest.mark.parametrize("tail_s", [-1, True, "1", float("nan"), float("inf")])
def test_a_tail_that_is_no_length_is_refused(stock_dir, tail_s):
    config = describe(shrinkml.load(stock_dir("whisper")))
    with pytest.raises(ConfigError, match=r"window_tail_s is .*; allowed: seconds of silence, 0 or more"):
        build({**config, "window_tail_s": tail_s}, stock_dir("whisper"))


@pytest.mark.parametrize("kind", ["moonshine", "wav2vec2"])
def test_what_hears_no_window_has_none_to_shorten(stock_dir, kind):
    config = describe(shrinkml.load(stock_dir(kind)))
    with pytest.raises(ConfigError, match=f"window_tail_s is 1, and a {kind} has no window to shorten"):
        build({**config, "window_tail_s": 1}, stock_dir(kind))
