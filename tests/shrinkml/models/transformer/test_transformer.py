from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import shrinkml
from shrinkml.compression.calibration import measure_use
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, find_layers, present_cost
from shrinkml.models.heads import ATTENTION, CTC
from shrinkml.models.tokenizer import END
from shrinkml.models.trainable.token_search import BEAM_LENGTH_POWER, beam_search
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save, stored_parameters
from shrinkml.training.lesson import take_lesson_
from tests.shrinkml.models.transducer.whistled import TEXTS
from tests.shrinkml.models.transformer.taught_whistles import KINDS, TOKENIZER, heard, taught, untrained

EACH_KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def speech():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(frames, 20, generator=generator) for frames in (37, 60, 8, 51)]


SAID = ["red green on", "off", "green blue", "blue green off on red"]


def tokens_of(row):
    return row[: row.index(END)] if END in row else row


@EACH_KIND
def test_it_writes_what_it_learnt(kind):
    model = taught(kind)
    assert model.transcribe(heard(model)) == list(TEXTS)


@torch.no_grad()
@EACH_KIND
def test_a_beam_finds_no_less_likely_transcripts(kind, speech):
    """Scores are log probabilities per token ** 0.6, as the beam ranks its hypotheses."""
    model = taught(kind)
    speech = [*speech, *heard(model)]

    def scores(texts):
        heads = model.teacher_forced(speech, texts)[ATTENTION]
        pairs = zip(heads.rows(), heads.tokens(), strict=True)
        logs = [row.log_softmax(-1)[range(len(tokens)), tokens] for row, tokens in pairs]
        return torch.stack([log.sum() / len(log) ** BEAM_LENGTH_POWER for log in logs])

    greedy, wide = model.transcribe(speech), model.transcribe(speech, beam=8)
    assert (scores(wide) >= scores(greedy) - 1e-4).all()
    assert wide[-len(TEXTS) :] == list(TEXTS)


@EACH_KIND
def test_its_ctc_layer_hears_the_words_as_well(kind):
    """The likeliest label of each frame, repetitions and blanks left out."""
    model = taught(kind)
    with torch.no_grad():
        rows = model.teacher_forced(heard(model), TEXTS)[CTC].rows()
    said = [TOKENIZER.decode(row.argmax(-1).unique_consecutive().tolist()) for row in rows]
    assert said == list(TEXTS)


@EACH_KIND
def test_the_scores_of_an_utterance_do_not_depend_on_its_batch(kind, speech):
    model = untrained(**KINDS[kind])
    together = model.teacher_forced(speech, SAID)
    for row, (features, text) in enumerate(zip(speech, SAID, strict=True)):
        alone = model.teacher_forced([features], [text])
        for head in (ATTENTION, CTC):
            (scores,) = alone[head].rows()
            assert len(scores) == alone[head].logits.shape[1]
            torch.testing.assert_close(together[head].rows()[row], scores, rtol=1e-4, atol=1e-5)


@EACH_KIND
@pytest.mark.parametrize("beam", [1, 3])
def test_a_transcript_does_not_depend_on_its_batch(kind, beam, speech):
    """Of noise, of which nothing was learnt, the scores of tokens are close to each other."""
    model = taught(kind)
    speech = [*speech, *heard(model)[:3]]
    alone = [model.transcribe([features], beam=beam)[0] for features in speech]
    assert model.transcribe(speech, beam=beam) == alone
    assert len(set(alone)) > 3


@torch.no_grad()
@EACH_KIND
def test_a_token_at_a_time_has_the_scores_of_all_at_once(kind, speech):
    """The cache of keys and values against none."""
    model = untrained(**KINDS[kind])
    found = model.encode(speech[:2])
    known = model.decoder.attend(found)
    fed = torch.tensor([[END, 4, 5, 3, 6], [END, 5, 5, 7, 4]])
    at_once, _ = model.decoder(fed, (), known)
    past, states = (), []
    for token in fed.unbind(1):
        said, past = model.decoder(token[:, None], past, known)
        states.append(said)
    torch.testing.assert_close(torch.cat(states, 1), at_once, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@EACH_KIND
def test_greedy_follows_the_most_likely_token(kind, speech):
    """The oracle: teacher forcing the greedy transcript, without a cache, makes every token the argmax."""
    model = taught(kind)
    for features in speech:
        (text,) = model.transcribe([features])
        tokens = TOKENIZER.encode(text)
        logits = model.teacher_forced([features], [text])[ATTENTION].logits
        assert logits[0, : len(tokens)].argmax(-1).tolist() == tokens


@torch.inference_mode()
@EACH_KIND
def test_a_beam_of_one_is_greedy(kind, speech):
    model = taught(kind)
    found = model.encode(speech)
    known = model.decoder.attend(found)

    def step(token, past):
        said, past = model.decoder(token[:, None], past, known)
        return model.output(said[:, 0]), past

    rows = beam_search(step, (), found.inside.sum(1) + 1, end=END, beam=1)
    assert [TOKENIZER.decode(tokens_of(row)) for row in rows] == model.transcribe(speech)


@EACH_KIND
def test_a_checkpoint_writes_the_same(kind, tmp_path):
    model = taught(kind)
    save(model, tmp_path / "model")
    back = shrinkml.load(tmp_path / "model")
    assert isinstance(back, Transformer)
    assert back.config == model.config
    assert back.transcribe(heard(model)) == model.transcribe(heard(model))


@EACH_KIND
def test_every_matrix_can_be_factorized(kind, tmp_path):
    """At full rank nothing is lost; at a low one it still runs, in a batch as alone, and is stored so."""
    model = taught(kind)
    layers = find_layers(model)
    matrices = [
        parameter for name, parameter in model.named_parameters() if parameter.dim() > 1 and "memory" not in name
    ]
    assert len(layers) == len(matrices)
    factors = decompose(model, "svd", {})
    full = CompressionPlan.of_ranks({layer.name: min(layer.out_features, layer.in_features) for layer in layers})
    assert factorize(model, full, factors).transcribe(heard(model)) == list(TEXTS)
    plan = CompressionPlan.of_ranks({layer.name: 3 for layer in layers})
    low = factorize(model, plan, factors)
    assert current_plan(low) == plan
    save(low, tmp_path / "low")
    written = shrinkml.load(tmp_path / "low").transcribe(heard(model))
    assert written == [low.transcribe([features])[0] for features in heard(model)]


def test_layers_that_are_shared_are_counted_and_stored_once(tmp_path):
    shared, short = untrained(encoder_layers=4, shared=((0, 1), (2, 3))), untrained(encoder_layers=2)
    assert present_cost(shared) == present_cost(short)
    assert len(find_layers(shared)) == len(find_layers(short))
    for name, model in (("shared", shared), ("short", short)):
        save(model, tmp_path / name)
    assert stored_parameters(tmp_path / "shared") == stored_parameters(tmp_path / "short")
    assert shrinkml.load(tmp_path / "shared").config.shared == ((0, 1), (2, 3))


def test_a_shared_layer_works_at_each_of_its_places(speech):
    shared, short = untrained(encoder_layers=4, shared=((0, 1), (2, 3))), untrained(encoder_layers=2)
    often, once = (measure_use(model, partial(model.teacher_forced, speech, SAID)) for model in (shared, short))
    key = "encoder.layers.0.attention.key.weight"
    assert often[key].n_frames == 2 * once[key].n_frames


def test_a_model_that_shares_layers_begins_with_the_first_of_each_group_of_its_teacher():
    teacher, model = untrained(encoder_layers=4), untrained(encoder_layers=4, shared=((0, 1), (2, 3)))
    nn.init.zeros_(teacher.encoder.layers["2"].feed_forward.inner.bias)
    take_lesson_(model, teacher, [])
    assert torch.equal(model.encoder.layers["2"].attention.key.weight, teacher.encoder.layers["2"].attention.key.weight)
    assert model.encoder.layers["2"].feed_forward.inner.bias.abs().sum() == 0


def test_it_learns_in_bfloat16(speech):
    model = untrained(memory=3).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss(model.teacher_forced(speech, SAID))
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    exact = model.loss(model.teacher_forced(speech, SAID))
    assert abs(loss.item() / exact.item() - 1) < 0.05  # three digits of each product are kept


def test_without_ctc_weight_the_loss_is_the_decoders(speech):
    heads = untrained().teacher_forced(speech, SAID)
    assert untrained(ctc_weight=0.0).loss(heads) == heads[ATTENTION].loss()
    assert untrained().loss(heads) != heads[ATTENTION].loss()


def test_positions_are_heard_and_known_only_where_the_shape_has_them(speech):
    """Without positions and memory the last layers see sets: an order is told by the convolutions' windows alone."""
    tokens, turned = torch.tensor([[END, 4, 5, 6]]), torch.tensor([[5, 4, END, 6]])
    for decoder_positions in (True, False):
        model = untrained(decoder_layers=1, decoder_positions=decoder_positions)
        known = model.decoder.attend(model.encode(speech[:1]))
        ends = [model.decoder(fed, (), known)[0][:, -1] for fed in (tokens, turned)]
        assert torch.allclose(*ends, atol=1e-5) != decoder_positions


def test_a_click_of_audio_is_heard():
    model = untrained(reductions=(2, 2, 2))
    assert len(model.transcribe([model.features(np.zeros(500, np.float32))])) == 1


def test_the_shape_is_kept():
    model = untrained()
    assert replace(model.config) == model.config
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (2, 2)
