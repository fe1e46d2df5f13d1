"""Feature extractors as ONNX operators beside those of transformers."""

import numpy as np
import onnxruntime
import pytest
import transformers

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.export.graph import FRONT, Graph, Storage
from shrinkml.models.huggingface.onnx.extractor_graph import FRONT_ENDS, front_end_of

KINDS = {
    "Wav2Vec2FeatureExtractor": "wav2vec2",
    "ParakeetFeatureExtractor": "parakeet_ctc",
    "WhisperFeatureExtractor": "whisper",
    "Speech2TextFeatureExtractor": "speech_to_text",
}


def session_of(extractor):
    graph = Graph(Storage(), FRONT)
    waveforms, lengths = graph.input("waveforms", ("batch", "samples")), graph.input("lengths", ("batch",), "int64")
    heard = front_end_of(extractor)(graph, waveforms, lengths, extractor)
    graph.output(heard.values, "values", heard.shape)
    graph.output(heard.counts, "counts", ("batch",), "int64")
    return onnxruntime.InferenceSession(graph.model().SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_it_computes_what_the_extractor_does(name, stock_dir, waveforms):
    speech = shrinkml.load(stock_dir(KINDS[name])).speech
    assert type(speech.extractor).__name__ == name
    session = session_of(speech.extractor)
    for waveform in waveforms:
        fed = {"waveforms": waveform[None], "lengths": np.array([len(waveform)])}
        values, counts = session.run(None, fed)
        features = speech.features(waveform)
        expected = speech.batch([features], features.device).values.numpy()
        n = counts[0]
        if speech.form == "window":
            np.testing.assert_allclose(values, expected, atol=1e-3)
            assert n == len(features)
        else:
            np.testing.assert_allclose(values[:, :n], expected[:, :n], atol=2e-3)
            assert n >= len(features)


def test_another_extractor_is_refused_by_name():
    extractor = transformers.SeamlessM4TFeatureExtractor(feature_size=20, num_mel_bins=20)
    with pytest.raises(
        ExportError, match="what a SeamlessM4TFeatureExtractor does cannot be exported to ONNX; allowed"
    ):
        front_end_of(extractor)
