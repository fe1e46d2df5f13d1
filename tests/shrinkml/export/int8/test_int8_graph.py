"""int8 folders: smaller, and what they hear is what float32 hears but for rounding."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest

from shrinkml.export.exporter import export
from shrinkml.export.graph import THIN, Graph, Storage
from shrinkml.export.int8.int8_graph import write_int8
from shrinkml.export.int8.int8_sensitivity import divergence
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors


@pytest.fixture(scope="module")
def both(checkpoint, tmp_path_factory):
    """The checkpoint exported as it is, and as int8."""
    folder = tmp_path_factory.mktemp("precisions")
    export(checkpoint, folder / "float")
    export(checkpoint, folder / "int8", int8=True)
    return folder / "float", folder / "int8"


@pytest.mark.parametrize("kept", [False, True])
def test_a_matrix_that_multiplies_twice_has_the_scale_of_each_of_its_inputs(kept, tmp_path):
    """The second input is a hundred times as large as the first; the oracle is numpy."""
    rng = np.random.default_rng(0)
    weight, x = rng.normal(size=(256, 256)).astype(np.float32) / 16, rng.normal(size=(3, 256)).astype(np.float32)
    graph = Graph(Storage(int8=True, kept=frozenset({"layer"} if kept else ())))
    y = graph.input("x", ("batch", 256))
    for _ in range(2):
        y = graph.op("MatMul", y, graph.weight(weight, "layer"), name="layer")
        y = graph.op("Mul", y, graph.constant(100.0))
    graph.output(y, "y", ("batch", 256))
    write_int8(graph.model(), tmp_path / "twice.onnx", graph.storage.kept)
    written = onnx.load(tmp_path / "twice.onnx")
    assert [node.op_type for node in written.graph.node].count("MatMulInteger") == (0 if kept else 2)
    matrices = [tensor for tensor in written.graph.initializer if np.prod(tensor.dims) == weight.size]
    assert len(matrices) == 1
    (found,) = onnxruntime.InferenceSession(tmp_path / "twice.onnx").run(None, {"x": x})
    expected = 1e4 * x @ weight @ weight
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_the_word_error_rate_stays_within_a_few_words(both, spoken):
    waveforms, texts = zip(*spoken, strict=True)
    before, after = (word_errors(texts, OnnxRecogniser(folder).transcribe(waveforms)).wer for folder in both)
    assert abs(after - before) < 0.03  # 6 words of 216


def test_speech_of_half_a_minute_is_heard_in_int8_as_in_float32(both, spoken):
    long = np.concatenate([waveform for waveform, _ in spoken[:40]])
    assert len(long) > 25 * 16_000
    before, after = (OnnxRecogniser(folder).scores([long], [[3, 4, 5]]) for folder in both)
    assert divergence(before, after) / 4 < 0.02


def test_every_matrix_is_stored_as_int8(both):
    for part in ("encoder", "decoder"):
        wide = [t for t in constants(onnx.load(both[1] / f"{part}.onnx").graph) if t.data_type != onnx.TensorProto.INT8]
        assert max(int(np.prod(t.dims)) for t in wide) < 1500  # biases and scales; the smallest matrix has more
    sizes = [sum(path.stat().st_size for path in folder.glob("*.onnx")) for folder in both]
    assert sizes[1] < 0.8 * sizes[0]  # of half precision weights, with the names of many small nodes


def constants(graph):
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from constants(attribute.g)


def test_low_rank_recurrences_are_run_in_int8(checkpoint, both):
    kinds = [node.op_type for node in onnx.load(both[1] / "encoder.onnx").graph.node]
    assert (
        "LSTM" not in kinds or checkpoint.name == "mixed"
    )  # there, one direction has but one of its matrices factorized
    assert "DynamicQuantizeLSTM" in kinds


def test_large_products_are_computed_in_int8(tiny_data, tmp_path):
    """Of a fresh model: a dense recurrence, and matrices on both sides of THIN."""
    import torch

    from shrinkml.models.las.las import Las, LasConfig
    from shrinkml.models.tokenizer import Tokenizer
    from shrinkml.storage.checkpoint import save

    torch.manual_seed(0)
    shape = LasConfig(n_mels=20, hidden=16, reductions=(2,), decoder=128, embedding=16)
    save(Las(shape, Tokenizer.from_texts(["open door"], "word")), tmp_path / "las")
    export(tmp_path / "las", tmp_path / "onnx", int8=True)
    encoder, decoder = (onnx.load(tmp_path / "onnx" / f"{part}.onnx").graph for part in ("encoder", "decoder"))
    assert {node.op_type for node in encoder.node} >= {"DynamicQuantizeLSTM"}
    integer = [node.name for node in decoder.node if node.op_type == "MatMulInteger"]
    assert integer == ["cell.weight_hh_quant"]
    assert 4 * 128 * (16 + 2 * 16) < THIN <= 4 * 128 * 128  # weight_ih and weight_hh


def test_sensitive_layers_are_found_and_kept(tiny_model_dir, tiny_data, tmp_path):
    speech = read_manifest(tiny_data["dev"])[:6]
    export(tiny_model_dir, tmp_path / "all", int8=True, speech=speech)
    assert json.loads((tmp_path / "all" / "recogniser.json").read_text())["kept"] == []
    export(tiny_model_dir, tmp_path / "none", int8=True, speech=speech, most_divergence=0.0)
    kept = json.loads((tmp_path / "none" / "recogniser.json").read_text())["kept"]
    assert {"cell.weight_ih", "output.weight", "encoder.0.weight_hh_l0"} <= set(kept)
    output = [n for n in onnx.load(tmp_path / "none" / "decoder.onnx").graph.node if n.name == "output.weight"]
    assert output[0].op_type == "MatMul"
