import pytest
import torch

import shrinkml
from shrinkml.errors import ConfigError
from shrinkml.models.heads import CTC
from shrinkml.models.huggingface.ctc_model import PADDABLE

TEXTS = ["turn on the light", "off", "the dog"]


@pytest.fixture(params=["wav2vec2", "wav2vec2-conformer", "parakeet_ctc"])
def model(request, stock_dir):
    return shrinkml.load(stock_dir(request.param))


@pytest.fixture
def features(model, waveforms):
    return [model.features(waveform) for waveform in waveforms]


def test_its_only_head_scores_every_frame_and_knows_the_transcripts(model, features):
    heads = model.teacher_forced(features, TEXTS)
    assert list(heads) == [CTC]
    assert heads[CTC].tokens() == [model.text.encode(text) for text in TEXTS]
    assert heads[CTC].blank == model.blank == model.network.config.pad_token_id
    assert len(heads[CTC].rows()[0]) > len(heads[CTC].rows()[1]), "the second utterance is shorter"


def test_a_transcript_is_its_likeliest_labels_collapsed(model, features):
    with torch.no_grad():
        rows = model.teacher_forced(features, TEXTS)[CTC].rows()
    collapsed = [torch.unique_consecutive(row.argmax(-1)).tolist() for row in rows]
    expected = [model.text.decode([label for label in path if label != model.blank]) for path in collapsed]
    assert model.transcribe(features) == expected


def test_models_whose_frames_see_the_padding_run_each_length_by_itself(model):
    assert model.pads == (model.network.config.model_type in PADDABLE)


def test_group_norm_sees_the_padding(stock_dir):
    model = shrinkml.load(stock_dir("wav2vec2"))
    model.network.config.feat_extract_norm = "group"
    assert not model.pads


def test_frames_are_counted_as_the_network_makes_them(stock_dir, waveforms):
    model = shrinkml.load(stock_dir("wav2vec2"))
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    rows = model.teacher_forced([model.features(waveform) for waveform in waveforms], TEXTS)[CTC].rows()
    assert model.output_lengths(lengths).tolist() == [len(row) for row in rows]


def test_a_beam_is_refused(model, features):
    with pytest.raises(ConfigError, match="beam 2; a CTC model without a decoder is read greedily, allowed: 1"):
        model.transcribe(features, beam=2)
