"""sherpa-onnx alone transcribes with what is written for it, as the model does."""

import numpy as np
import onnx
import pytest
import torch

from shrinkml.compression.factorize import factorize
from shrinkml.errors import ExportError
from shrinkml.export.stock import check_layout, export
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transducer.sherpa_transducer import DECODER, ENCODER, JOINER, STREAMING, TOKENS
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.models.transducer.transducer_stream import TransducerStream
from shrinkml.plan.choice import Choice
from shrinkml.storage.checkpoint import load, save
from tests.cut_units import ReadyToCut
from tests.shrinkml.models.transducer.whistled import RATE_HZ, TEXTS, whistle, whistler

sherpa_onnx = pytest.importorskip("sherpa_onnx")

MELS = 80  # that sherpa-onnx is asked for
TAIL_S = 0.5  # of silence, so that the last step is whole; sherpa-onnx waits for one more


def low_rank(model):
    """Factorized, and narrower, but so that it is as sure of its words as before: both programs round on their own."""
    heard = [model.features(whistle(text, seed=0)) for text in TEXTS]
    ready = ReadyToCut(model, lambda: model.teacher_forced(heard, TEXTS), "svd")
    left = {name: n - 1 for name, n in ready.units.items()}
    recurrent = {*ready.pairs, *ready.pairs.values()}
    ranks = {it.name: Choice(rank=max(1, it.max_rank - 1)) for it in ready.layers if it.name not in recurrent}
    assert {*left} == {"look_ahead.lstm.weight_ih_l0", "look_ahead.lstm.weight_ih_l0_reverse"}
    return factorize(model, ready.plan(left, ranks), ready.decompositions)


@pytest.fixture(scope="module", params=["float32", "low rank, float16", "int8"])
def pair(request, tmp_path_factory):
    """A model, and the folder that was written for sherpa-onnx."""
    model = whistler(prediction="tied", n_mels=MELS)
    folder = tmp_path_factory.mktemp("sherpa")
    if request.param == "low rank, float16":
        model = low_rank(model)
    save(model, folder / "model", dtype="float16" if "float16" in request.param else "float32")
    export(folder / "model", folder / "sherpa", "sherpa-onnx", int8=request.param == "int8")
    return load(folder / "model"), folder / "sherpa"


@pytest.fixture(scope="module")
def waveforms():
    return [np.pad(whistle(text, seed=0), (0, int(TAIL_S * RATE_HZ))) for text in TEXTS]  # which were learnt from


def files(folder, encoder):
    return {
        "tokens": str(folder / TOKENS),
        "encoder": str(folder / f"{encoder}.onnx"),
        "decoder": str(folder / f"{DECODER}.onnx"),
        "joiner": str(folder / f"{JOINER}.onnx"),
    }


def test_its_offline_recogniser_hears_what_the_second_pass_hears(pair, waveforms):
    model, folder = pair
    recogniser = sherpa_onnx.OfflineRecognizer.from_transducer(**files(folder, ENCODER), feature_dim=MELS)
    streams = [recogniser.create_stream() for _ in waveforms]
    for stream, waveform in zip(streams, waveforms, strict=True):
        stream.accept_waveform(RATE_HZ, waveform)
    recogniser.decode_streams(streams)
    heard = [stream.result.text.strip() for stream in streams]
    assert heard == model.transcribe([model.features(waveform) for waveform in waveforms])
    assert len(set(heard)) >= 5


def test_its_online_recogniser_hears_what_the_streaming_pass_hears(pair, waveforms):
    model, folder = pair
    recogniser = sherpa_onnx.OnlineRecognizer.from_transducer(**files(folder, STREAMING), feature_dim=MELS)
    for waveform in waveforms:
        ours, theirs = TransducerStream(model), recogniser.create_stream()
        for start in range(0, len(waveform), 1600):
            ours.accept(waveform[start : start + 1600])
            theirs.accept_waveform(RATE_HZ, waveform[start : start + 1600])
            while recogniser.is_ready(theirs):
                recogniser.decode_stream(theirs)
        assert recogniser.get_result(theirs).strip() == ours.text


def test_a_file_says_what_it_is(pair):
    _, folder = pair
    known = {
        name: {entry.key: entry.value for entry in onnx.load(folder / f"{name}.onnx").metadata_props}
        for name in (ENCODER, STREAMING, DECODER, JOINER)
    }
    assert known[STREAMING]["model_type"] == "lstm"
    assert known[STREAMING]["T"] == known[STREAMING]["decode_chunk_len"] == "8"
    assert known[DECODER]["context_size"] == "5"
    assert (folder / TOKENS).read_text(encoding="utf-8").splitlines()[:4] == [
        "<blk> 0",
        "<end> 1",
        "<unk> 2",
        "▁blue 3",
    ]


def test_a_decoder_that_remembers_all_labels_is_refused():
    model = Transducer(TransducerConfig(hidden=8, prediction="lstm"), Tokenizer.from_texts(TEXTS, "word"))
    with pytest.raises(ExportError, match="prediction is 'lstm'; sherpa-onnx's decoders know the last labels alone"):
        check_layout(model, "sherpa-onnx")


@torch.no_grad()
def test_letters_are_written_without_a_mark(tmp_path):
    from shrinkml.models.family import FreshModel
    from shrinkml.models.transducer.transducer_operations import OPERATIONS

    shape = {"n_mels": 80, "hidden": 8, "look_ahead": 4, "joint": 8, "prediction": "tied"}
    save(OPERATIONS.fresh(FreshModel("transducer", shape, ["on off"], "char", 0)).eval(), tmp_path / "model")
    export(tmp_path / "model", tmp_path / "sherpa", "sherpa-onnx")
    rows = (tmp_path / "sherpa" / TOKENS).read_text(encoding="utf-8").splitlines()
    assert rows[3:] == ["▁ 3", "f 4", "n 5", "o 6"]
