import itertools

import numpy as np
import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.models.transducer.transducer import STREAMING
from shrinkml.models.transducer.transducer_stream import TransducerStream
from shrinkml.plan.compression_plan import CompressionPlan
from tests.shrinkml.models.transducer.whistled import RATE_HZ, TEXTS, whistle, whistler

CHUNKS_MS = (40, 80, 100, 640)  # half a step, a step, what is no multiple of one, and several


def low_rank(model):
    ranks = {layer.name: max(1, layer.break_even_rank * 2 // 3) for layer in find_layers(model)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model, "svd", {}))


@pytest.fixture(scope="module", params=["lstm", "tied", "low rank"])
def model(request):
    whole = whistler(**({} if request.param == "lstm" else {"prediction": "tied"}))
    return low_rank(whole) if request.param == "low rank" else whole


def pieces(waveform, chunk_ms):
    size = chunk_ms * RATE_HZ // 1000
    return [waveform[start : start + size] for start in range(0, len(waveform), size)]


@pytest.fixture(scope="module")
def whole(model):
    """What both passes hear in each of TEXTS, one by one: the streaming one, then the other."""
    found = []
    for text in TEXTS:
        features = [model.features(whistle(text, seed=99))]
        with torch.inference_mode():
            (streamed,) = model.read(model.passes(features)[STREAMING])
        found.append((streamed, *model.transcribe(features)))
    return found


@pytest.mark.parametrize("chunk_ms", CHUNKS_MS)
def test_a_stream_hears_what_both_passes_hear_in_the_whole(model, whole, chunk_ms):
    heard = []
    for text in TEXTS:
        stream = TransducerStream(model)
        for piece in pieces(whistle(text, seed=99), chunk_ms):
            stream.accept(piece)
        finished = stream.finish()
        heard.append((stream.text, finished))
    assert heard == whole
    assert len({finished for _, finished in heard}) >= 4, "a model that always says the same would prove nothing"


def test_text_only_grows():
    stream = TransducerStream(whistler(prediction="tied"))
    texts = [stream.accept(piece) for piece in pieces(whistle(TEXTS[5]), 40)]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert texts[0] == ""
    assert len(set(texts)) == 1 + len(TEXTS[5].split())
    assert texts[-1] == TEXTS[5]


def test_a_step_is_heard_as_soon_as_its_last_frame_is_whole():
    """The last of the 8 centred frames of 25 ms of a step of 80 ms ends 87.5 ms behind the beginning."""
    waveform, whole = whistle("on"), int(0.0875 * RATE_HZ)
    stream = TransducerStream(whistler(prediction="tied"))
    stream.accept(waveform[: whole - 1])
    assert stream.n_steps == 0
    stream.accept(waveform[whole - 1 : whole])
    assert stream.n_steps == 1


def test_without_a_second_pass_the_end_is_the_streaming_text():
    model = whistler(prediction="tied").first_pass()
    stream = TransducerStream(model)
    stream.accept(whistle(TEXTS[2]))
    assert stream.finish() == stream.text == TEXTS[2]


def test_an_end_without_speech_is_no_text():
    assert TransducerStream(whistler(prediction="tied")).finish() == ""


def test_what_is_shorter_than_a_step_is_filled_up_with_silence():
    model = whistler(prediction="tied")
    click = np.zeros(500, np.float32)
    stream = TransducerStream(model)
    assert stream.accept(click) == ""
    assert [stream.finish()] == model.transcribe([model.features(click)])
    assert stream.n_steps == 1
