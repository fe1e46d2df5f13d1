import numpy as np
import pytest
import soundfile
import torch

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import model_cost
from shrinkml.errors import ConfigError
from shrinkml.models.heads import ATTENTION
from shrinkml.models.huggingface.learning.fresh import fresh
from shrinkml.models.huggingface.vocabulary.byte_level import byte_pairs
from shrinkml.models.huggingface.vocabulary.expected_tokens import expected_tokens
from shrinkml.models.huggingface.vocabulary.trim import (
    check_trimmable,
    choose_tokens,
    keep_tokens,
    least_tokens,
    rank_tokens,
    trim,
)
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save, stored_parameters
from shrinkml.storage.merging import save_merged
from tests.real_model import REAL_SPEECH, WHISPER, needs_real_speech, needs_whisper
from tests.shrinkml.models.huggingface.learning.test_fresh import WHISPER_SHAPE
from tests.stock_models import two_languages_

TEXTS = ["turn on the light", "turn the radio off", "stop the music"]
FEW = ["turn the radio"]
EXACT = 1e-6  # the same products of the same numbers; matrix kernels may add them up in another order


@pytest.fixture(scope="module")
def model():
    return fresh("whisper", WHISPER_SHAPE, TEXTS, seed=1)


@pytest.fixture(scope="module")
def small(model):
    return trim(model, rank_tokens(model, FEW), least_tokens(model, FEW))


@pytest.fixture
def features(model, waveforms):
    return [model.features(waveform) for waveform in waveforms]


def test_words_that_are_kept_are_written_in_the_same_tokens(model, small):
    assert [small.text.kept[i] for i in small.text.encode(" turn the radio")] == model.text.encode(" turn the radio")


@pytest.mark.parametrize("text", ["light", "stop the music", "naïve 日本", "TURN  On!"])
def test_any_text_is_written_still(small, text):
    assert small.text.decode(small.text.encode(text)) == text


def test_tokens_beyond_those_needed_are_the_likeliest(model):
    ranking = rank_tokens(model, FEW)
    expected = expected_tokens(model, FEW)
    others = expected[list(ranking.others)]
    assert torch.equal(others, others.sort(descending=True).values)
    assert ranking.needed.isdisjoint(ranking.others)
    assert len(ranking.needed) + len(ranking.others) == model.n_outputs
    kept = choose_tokens(model, ranking, len(ranking.needed) + 1)
    assert len(kept) == len(ranking.needed) + 1
    (new,) = {*kept} - ranking.needed
    pairs, names = byte_pairs(model.text.tokenizer), model.text.tokenizer.convert_ids_to_tokens(range(model.n_outputs))
    left_out = ranking.others[: ranking.others.index(new)]
    needed = {names[i] for i in ranking.needed}
    assert all(len(pairs.with_parts([names[i]]) - needed) > 1 for i in left_out)  # they would not have fitted in


def test_all_tokens_can_be_kept(model, features):
    same = trim(model, rank_tokens(model, FEW), 10**6)
    assert same.text.kept == tuple(range(model.n_outputs))
    assert same.transcribe(features) == model.transcribe(features)


def test_scores_are_those_of_the_tokens_that_are_kept(model, small, features):
    texts = [" turn the radio"] * len(features)
    with torch.no_grad():
        before, after = (one.teacher_forced(features, texts)[ATTENTION].logits for one in (model, small))
    torch.testing.assert_close(after, before[..., list(small.text.kept)], atol=EXACT, rtol=EXACT)


def test_the_output_stays_tied_and_the_model_is_smaller_by_the_rows_that_are_gone(model, small):
    network = small.network
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    gone = model.n_outputs - small.n_outputs
    saved = model_cost(model).dense_parameters - model_cost(small).dense_parameters
    assert saved == gone * WHISPER_SHAPE["d_model"] > 0


def test_the_given_model_is_left_alone(model, features):
    before, heard = model.n_outputs, model.transcribe(features)
    trim(model, rank_tokens(model, FEW), least_tokens(model, FEW))
    assert (model.n_outputs, model.network.config.vocab_size, model.text.kept) == (before, before, None)
    assert model.transcribe(features) == heard


def test_marks_are_named_by_their_new_ids(model, small):
    def names(one):
        ids = [*(choices[0] for choices in one.prompt), one.end, one.network.generation_config.no_timestamps_token_id]
        ids += [one.network.config.pad_token_id, one.network.get_input_embeddings().padding_idx]
        return one.text.tokenizer.convert_ids_to_tokens(ids)

    assert names(small) == names(model)


def test_languages_are_named_by_their_new_ids(model):
    several = trim(model, rank_tokens(model, TEXTS), 10**6)  # a copy
    two_languages_(several.network.generation_config, several.text.tokenizer)
    several = type(several)(several.network, several.speech, several.text)
    small = trim(several, rank_tokens(several, FEW), least_tokens(several, FEW))
    assert [len(choices) for choices in small.prompt] == [len(choices) for choices in several.prompt]
    ids = small.network.generation_config.lang_to_id
    assert small.text.tokenizer.convert_tokens_to_ids(list(ids))[0] == ids["<|en|>"]


def test_times_behind_the_tokenizers_last_token_stay_and_lie_together(model):
    timed = fresh("whisper", WHISPER_SHAPE, TEXTS, seed=1)
    network, n_times = timed.network, 5
    rows = timed.n_outputs + n_times
    network.resize_token_embeddings(rows, mean_resizing=False)
    timed = type(timed)(network, timed.speech, timed.text)
    small = trim(timed, rank_tokens(timed, FEW), least_tokens(timed, FEW))
    assert small.text.kept[-n_times:] == tuple(range(rows - n_times, rows))
    assert len(small.text.tokenizer) == small.n_outputs - n_times


def test_it_is_saved_and_opened_and_knows_the_way_back(small, features, tmp_path):
    save(small, tmp_path / "small")
    opened = shrinkml.load(tmp_path / "small")
    assert opened.text.kept == small.text.kept
    assert opened.transcribe(features) == small.transcribe(features)
    assert stored_parameters(tmp_path / "small") == model_cost(small).dense_parameters


def test_a_second_trimming_tells_the_first_originals_ids(model):
    first = trim(model, rank_tokens(model, TEXTS), least_tokens(model, TEXTS) + 2)
    second = trim(first, rank_tokens(first, FEW), least_tokens(first, FEW))
    tokens = second.text.tokenizer.convert_ids_to_tokens(range(second.n_outputs))
    assert model.text.tokenizer.convert_ids_to_tokens(second.text.kept) == tokens


def test_it_is_factorized_and_merged_like_any_other(small, waveforms, tmp_path):
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

    ranks = {layer.name: max(1, layer.break_even_rank // 2) for layer in model_cost(small).layers}
    save(factorize(small, CompressionPlan.of_ranks(ranks), decompose(small, "svd")), tmp_path / "small")
    save_merged(tmp_path / "small", tmp_path / "dense")
    ours = shrinkml.load(tmp_path / "small")
    stock, processor = (kind.from_pretrained(tmp_path / "dense") for kind in (AutoModelForSpeechSeq2Seq, AutoProcessor))
    inputs = processor(waveforms[0], sampling_rate=16_000, return_tensors="pt").input_features
    ids = stock.generate(inputs, max_new_tokens=8)
    heard = ours.network.generate(inputs, max_new_tokens=8)
    assert processor.batch_decode(ids) == ours.text.tokenizer.batch_decode(heard)


def test_fewer_tokens_than_the_texts_need_are_refused(model):
    least = least_tokens(model, FEW)
    with pytest.raises(ConfigError, match=f"{least - 1} tokens are to be kept; allowed: {least} to {model.n_outputs}"):
        trim(model, rank_tokens(model, FEW), least - 1)


def test_a_factorized_embedding_is_refused(model):
    plan = CompressionPlan.of_ranks({"network.model.decoder.embed_tokens.weight": 2})
    with pytest.raises(ConfigError, match="held in a FormEmbedding; trimmed is a dense Embedding"):
        check_trimmable(factorize(model, plan, decompose(model, "svd")))


def test_another_kind_of_vocabulary_is_refused(stock_dir):
    with pytest.raises(ConfigError, match="trimmed is a byte-level BPE vocabulary"):
        check_trimmable(shrinkml.load(stock_dir("speech_to_text")))


def test_a_network_with_other_tensors_of_that_size_is_refused(model):
    class Counting(type(model.network)):
        def __init__(self, config):
            super().__init__(config)
            self.register_buffer("counts", torch.zeros(config.vocab_size))

    counting = Counting(model.network.config)
    counting.generation_config = model.network.generation_config
    with pytest.raises(ConfigError, match=r"a Counting has more tensors of the size of its vocabulary .*counts"):
        trim(type(model)(counting, model.speech, model.text), rank_tokens(model, FEW), least_tokens(model, FEW))


@pytest.mark.parametrize("kind", ["whisper", "moonshine", "speech-encoder-decoder"])
def test_every_kind_over_bytes_is_trimmed_saved_and_opened(kind, stock_dir, waveforms, tmp_path):
    model = shrinkml.load(stock_dir(kind))
    small = keep_tokens(model, choose_tokens(model, rank_tokens(model, []), model.n_outputs))
    save(small, tmp_path / "small")
    features = [model.features(waveforms[0])]
    assert shrinkml.load(tmp_path / "small").transcribe(features) == model.transcribe(features)


@pytest.mark.slow
@needs_whisper
@needs_real_speech
def test_a_whisper_of_openais_hears_the_same_with_a_quarter_of_its_tokens(tmp_path):
    from transformers import pipeline

    whisper = shrinkml.load(WHISPER)
    text = "mister quilter is the apostle of the middle classes and we are glad to welcome his gospel"
    small = trim(whisper, rank_tokens(whisper, [text]), whisper.n_outputs // 4)
    waveform = soundfile.read(sorted(REAL_SPEECH.glob("dev-clean/*/*/*.wav"))[0], dtype="float32")[0]
    features = [whisper.features(waveform)]
    heard = small.transcribe(features)
    assert heard == whisper.transcribe(features)
    save(small, tmp_path / "small", dtype="float16")
    save_merged(tmp_path / "small", tmp_path / "dense")
    told = pipeline("automatic-speech-recognition", str(tmp_path / "dense"))(np.array(waveform))["text"]
    assert told.strip() == heard[0]
