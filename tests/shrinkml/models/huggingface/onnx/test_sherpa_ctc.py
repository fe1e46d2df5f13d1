"""sherpa-onnx itself, where it is installed, beside torch: random factors, so that the labels vary."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import shrinkml
from shrinkml.compression.sites import find_layers
from shrinkml.compression.surgery import reshape
from shrinkml.errors import ExportError
from shrinkml.export.stock import StockExporter, check_layout
from shrinkml.models.huggingface.onnx.sherpa_ctc import check
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.storage.checkpoint import save
from tests.stock_models import LETTERS, MARKS


@pytest.fixture(scope="module")
def small(stock_dir, tmp_path_factory):
    """A checkpoint of a Wav2Vec2 that writes letters, at half of its break-even ranks."""
    model = shrinkml.load(stock_dir("wav2vec2"))
    plan = CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})
    model = reshape(model, plan)
    torch.manual_seed(8)  # its labels vary, and words end
    for parameter in (p for p in model.parameters() if p.dim() > 1):
        torch.nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    folder = tmp_path_factory.mktemp("ctc") / "small"
    save(model, folder)
    return folder


@pytest.fixture(scope="module")
def exporter(small):
    return StockExporter(small, "sherpa-onnx")


@pytest.fixture(scope="module")
def layout(small, exporter):
    exporter.write(small.with_name("layout"))
    return small.with_name("layout")


def heard(folder, waveforms):
    sherpa_onnx = pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
    recogniser = sherpa_onnx.OfflineRecognizer.from_omnilingual_asr_ctc(
        model=str(folder / "model.onnx"), tokens=str(folder / "tokens.txt")
    )
    streams = [recogniser.create_stream() for _ in waveforms]
    for stream, waveform in zip(streams, waveforms, strict=True):
        stream.accept_waveform(16_000, waveform)
        recogniser.decode_stream(stream)
    return [stream.result.text.strip() for stream in streams]


def test_sherpa_onnx_writes_what_torch_writes(small, layout, waveforms):
    model = shrinkml.load(small)
    expected = model.transcribe([model.features(waveform) for waveform in waveforms])
    assert all(expected)
    assert any(" " in text for text in expected)
    assert heard(layout, waveforms) == expected


def test_int8_opens(exporter, waveforms, tmp_path):
    exporter.write(tmp_path / "int8", int8=True)
    weights = onnx.load(tmp_path / "int8" / "model.onnx").graph.initializer
    assert any(weight.data_type == onnx.TensorProto.INT8 for weight in weights)
    assert all(heard(tmp_path / "int8", waveforms))


def test_tokens_that_are_no_text_count_as_blank(small, layout, waveforms):
    session, model = onnxruntime.InferenceSession(layout / "model.onnx"), shrinkml.load(small)
    (scores,) = session.run(None, {"x": waveforms[0][None]})
    with torch.no_grad():
        logits = model.teacher_forced([model.features(waveforms[0])], ["A"])["ctc"].logits[0].numpy()
    silent = [LETTERS.index(mark) for mark in MARKS]
    assert model.blank in silent
    np.testing.assert_allclose(scores[0, :, model.blank], logits[:, silent].max(1), atol=1e-3)
    lines = dict(line.split()[::-1] for line in (layout / "tokens.txt").read_text(encoding="utf-8").splitlines())
    assert lines[str(model.blank)] == "<blk>"
    assert not {*map(str, silent)} & {*lines} - {str(model.blank)}
    assert "\N{LOWER ONE EIGHTH BLOCK}" in lines.values()


def test_speech_that_sherpa_onnx_prepares_in_another_way_is_refused(stock_dir):
    with pytest.raises(ExportError, match=r"a ParakeetFeatureExtractor at 16000 Hz .* of zero mean and unit variance"):
        check_layout(shrinkml.load("reference/ctc"), "sherpa-onnx")
    model = shrinkml.load(stock_dir("wav2vec2"))
    check(model)
    model.speech.extractor.do_normalize = False
    with pytest.raises(ExportError, match="do_normalize"):
        check(model)


@pytest.mark.parametrize("piece", ["a b", "\udcc3"])
def test_tokens_that_no_line_holds_are_refused(stock_dir, monkeypatch, piece):
    model = shrinkml.load(stock_dir("wav2vec2"))
    monkeypatch.setattr(model.text, "pieces", lambda n: ("", piece))
    with pytest.raises(ExportError, match=r"token 1 of this model is .* a space only before them"):
        check(model)
