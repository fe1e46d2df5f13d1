"""Whole recognisers in few bits: a Transformer that learnt to say something, and models of transformers."""

import pytest
import torch
from torch import nn

import shrinkml
from shrinkml.activations.activation_spec import ActivationSpec
from shrinkml.activations.full_quantization import check_quantizable, fully_quantized
from shrinkml.activations.places import quantizers, spec_of
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, find_sites, present_cost
from shrinkml.compression.surgery import merge, widen
from shrinkml.errors import PlanError
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.models.heads import transcript_head
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.audio import write_flac
from shrinkml.storage.checkpoint import inspect, save, stored_parameters
from tests.shrinkml.models.transducer.whistled import TEXTS, whistle
from tests.shrinkml.models.transformer.taught_whistles import heard, taught


def in_bits(model, bits=8, scales="float"):
    speech = heard(model)
    spec = ActivationSpec(bits, scales)
    return fully_quantized(model, spec, decompose(model, "svd", {}), lambda it: it.teacher_forced(speech, TEXTS))


@pytest.fixture(scope="module")
def small():
    return in_bits(taught("memory"))


def test_it_writes_what_it_learnt_in_8_bits(small):
    assert small.transcribe(heard(small)) == list(TEXTS)


def test_factors_are_multiplied_in_8_bits_each():
    model = taught("memory")
    ranks = {layer.name: 3 * layer.max_rank // 4 for layer in find_layers(model)}
    thin = factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))
    found, speech = in_bits(thin), heard(model)
    assert {choice.bits for _, choice in current_plan(found)} == {8}
    assert sum(name.endswith("input1") for name, _ in quantizers(found)) == len(ranks) - 1, "all but the embedding"
    with torch.no_grad():
        assert _loss(found, speech) == pytest.approx(float(_loss(thin, speech)), abs=0.1)


def test_every_weight_and_every_place_has_8_bits(small):
    assert spec_of(small) == ActivationSpec()
    assert {choice.bits for _, choice in current_plan(small)} == {8}
    places = {name.rpartition(".")[2] for name, _ in quantizers(small)}
    attention = {"query", "key", "value", "numerator", "denominator", "shares"}
    assert places == {"input0", "placed", "output", "filtered", "centred", "root", "quotient"} | attention


def test_the_model_that_it_came_of_is_left_alone(small):
    assert spec_of(taught("memory")) is None


@pytest.mark.parametrize("scales", ["power_of_two", "multiplier"])
def test_scales_of_hardware_hear_the_same(scales):
    model = in_bits(taught("memory"), scales=scales)
    assert model.transcribe(heard(model)) == list(TEXTS)


def test_fewer_bits_lose_more():
    model = taught("memory")
    speech = heard(model)

    @torch.no_grad()
    def loss(it):
        return float(it.loss(it.teacher_forced(speech, TEXTS)))

    found = [loss(it) for it in (model, *(in_bits(model, bits) for bits in (8, 6, 4)))]
    assert found[1] < found[0] + 0.1
    assert found[0] < found[2] < found[3]


def test_training_wins_back_what_4_bits_lose():
    model = in_bits(taught("memory"), 4)
    speech = heard(model)
    before, ranges = _loss(model, speech).item(), [float(it.high) for _, it in quantizers(model)]
    optimizer = torch.optim.AdamW(model.parameters(), 5e-4)
    model.train()
    for _ in range(24):
        optimizer.zero_grad()
        _loss(model, speech).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
    model.eval()
    assert _loss(model, speech).item() < 0.9 * before
    assert [float(it.high) for _, it in quantizers(model)] != ranges


def test_a_fresh_process_opens_it_and_hears_the_same(small, tmp_path):
    save(small, tmp_path / "model", dtype="float16")
    waveforms = [whistle(text, seed=50) for text in TEXTS]
    for n, waveform in enumerate(waveforms):
        write_flac(tmp_path / f"{n}.flac", waveform, small.sample_rate_hz)
    back = shrinkml.load(tmp_path / "model")
    assert inspect(tmp_path / "model").activations == spec_of(back) == ActivationSpec()
    ranges = [(float(it.low), float(it.high)) for _, it in quantizers(back)]
    assert ranges == [(float(it.low), float(it.high)) for _, it in quantizers(small)], "not in half precision"
    assert stored_parameters(tmp_path / "model") == present_cost(small).parameters
    fresh = view_in_fresh_process(tmp_path / "model", sorted(tmp_path.glob("*.flac")), threads=1)
    assert fresh.transcripts == [back.transcribe([back.features(waveform)])[0] for waveform in waveforms]


def test_a_merged_or_widened_copy_rounds_no_inputs_of_layers(small):
    for other in (merge(small), widen(small)):
        assert not any("input" in name for name, _ in quantizers(other))
        assert other.transcribe(heard(small)) == list(TEXTS)


def test_a_copy_in_other_forms_keeps_its_quantizers(small):
    layer = "encoder.layers.0.attention.out.weight"
    twin = factorize(small, CompressionPlan({layer: Choice(bits=6)}), decompose(small, "svd", {}))
    assert [name for name, _ in quantizers(twin)] == [name for name, _ in quantizers(small)]


@pytest.mark.parametrize("kind", ["whisper", "parakeet_ctc"])
def test_models_of_transformers_round_what_each_layer_multiplies(kind, stock_dir, waveforms):
    model = shrinkml.load(stock_dir(kind))
    speech, texts = [model.features(waveform) for waveform in waveforms], ["a b", "no", "on"]
    found = fully_quantized(
        model, ActivationSpec(), decompose(model, "svd", {}), lambda it: it.teacher_forced(speech, texts)
    )
    linear = {site.module for site in find_sites(found) if site.kind == "linear"}
    assert len(list(quantizers(found))) == len(linear) > 5
    with torch.no_grad():
        before, after = (transcript_head(it.teacher_forced(speech, texts)).rows() for it in (model, found))
    for whole, rounded in zip(before, after, strict=True):
        assert 0 < (whole - rounded).norm() < 0.1 * whole.norm()


def test_a_model_that_rounds_already_is_refused(small):
    with pytest.raises(PlanError, match="rounds its activations already, to 8 bits"):
        check_quantizable(small)


def test_recurrent_layers_are_refused(recogniser):
    with pytest.raises(PlanError, match=r"recurrent layers are not rounded \(encoder.weight_ih_l0 and 9 more\)"):
        check_quantizable(recogniser)


def test_a_model_of_nothing_to_round_is_refused():
    with pytest.raises(PlanError, match="no linear layer or convolution is left"):
        check_quantizable(nn.Sequential(nn.Embedding(3, 2)))
    with pytest.raises(PlanError, match="no linear layer or convolution is left"):
        check_quantizable(nn.Sequential(nn.Linear(3, 2)), {"0.weight"})


def _loss(model, speech):
    return model.loss(model.teacher_forced(speech, TEXTS))
