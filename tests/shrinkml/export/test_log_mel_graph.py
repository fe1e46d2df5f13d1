"""Features in the graph against kaldi-native-fbank's."""

import numpy as np
import onnxruntime
import pytest

from shrinkml.export.graph import Graph, Storage
from shrinkml.export.log_mel_graph import frame_counts, log_mel, mirrored
from shrinkml.speech import features

QUIETEST = -3.0


@pytest.fixture(scope="module", params=[(16_000, 40), (8_000, 23), (22_050, 80)], ids="{0[0]} Hz, {0[1]} bins".format)
def front_end(request):
    """(session, sample rate, mel bins)."""
    graph = Graph(Storage())
    waveforms, lengths = graph.input("waveforms", ("b", "n")), graph.input("lengths", ("b",), "int64")
    graph.output(log_mel(graph, waveforms, *request.param, quietest=QUIETEST), "mel", ("b", "m", "t"))
    graph.output(frame_counts(graph, lengths, request.param[0]), "frames", ("b",), "int64")
    return onnxruntime.InferenceSession(graph.model().SerializeToString()), *request.param


@pytest.mark.parametrize("seconds", [0.03, 1.0, 1.234])
def test_log_mel_is_kaldis(front_end, seconds):
    session, rate_hz, n_mels = front_end
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).normal(0.02, 0.001, len(time_s))  # on an offset, which Kaldi takes off each frame
    waveform = (noise + 0.5 * np.sin(2 * np.pi * 440 * time_s) * (time_s > 0.4)).astype(np.float32)
    expected = np.maximum(features.log_mel(waveform, rate_hz, n_mels=n_mels), QUIETEST)
    mel, frames = session.run(None, {"waveforms": waveform[None], "lengths": [len(waveform)]})
    assert frames.tolist() == [len(expected)]
    # float32 leaves about 1e-4 of a bin that lies 60 dB below the loudest of its frame.
    np.testing.assert_allclose(mel[0].T, expected, atol=2e-3)


def test_silence_is_as_quiet_as_it_may_be(front_end):
    session, rate_hz, _ = front_end
    mel, _ = session.run(None, {"waveforms": np.zeros((1, rate_hz), np.float32), "lengths": [rate_hz]})
    np.testing.assert_allclose(mel, QUIETEST, rtol=1e-6)


def test_centred_frames_are_kaldis_whatever_lies_behind_an_utterance():
    rate_hz, n_mels, framing = 16_000, 80, features.CENTRED
    graph = Graph(Storage())
    waveforms, lengths = graph.input("waveforms", ("b", "n")), graph.input("lengths", ("b",), "int64")
    whole = mirrored(graph, waveforms, lengths, rate_hz)
    mel = log_mel(graph, whole, rate_hz, n_mels, quietest=QUIETEST, framing=framing)
    graph.output(mel, "mel", ("b", "m", "t"))
    graph.output(frame_counts(graph, lengths, rate_hz, framing), "frames", ("b",), "int64")
    session = onnxruntime.InferenceSession(graph.model().SerializeToString())
    noise = np.random.default_rng(0).normal(0.0, 0.1, (3, 8000)).astype(np.float32)
    counts = np.array([8000, 4321, 400])
    mel, frames = session.run(None, {"waveforms": noise, "lengths": counts})
    for row, n_frames, n_samples, waveform in zip(mel, frames, counts, noise, strict=True):
        expected = features.log_mel(waveform[:n_samples], rate_hz, n_mels=n_mels, framing=framing)
        assert n_frames == len(expected)
        np.testing.assert_allclose(row.T[:n_frames], np.maximum(expected, QUIETEST), atol=2e-3)
