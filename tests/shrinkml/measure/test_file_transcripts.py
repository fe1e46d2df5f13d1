import numpy as np
import pytest

import shrinkml
from shrinkml.errors import AudioError
from shrinkml.measure.file_transcripts import transcribe_files
from shrinkml.speech.audio import read_audio, write_flac
from shrinkml.speech.long_audio import cut_where_quiet
from shrinkml.speech.manifest import read_manifest


@pytest.fixture
def whisper():
    return shrinkml.load("reference/whisper")


@pytest.fixture
def spoken(whisper, tiny_data):
    """Waveforms of a few utterances."""
    return [read_audio(one.audio, whisper.sample_rate_hz) for one in read_manifest(tiny_data["dev"])[:6]]


def test_a_long_recording_is_heard_in_parts(whisper, spoken, tmp_path):
    pause = np.zeros(whisper.sample_rate_hz // 2, np.float32)
    joined = np.concatenate([part for waveform in spoken for part in (waveform, pause)])
    assert len(joined) > whisper.longest_s * whisper.sample_rate_hz
    for name, waveform in (("long", joined), ("short", spoken[0])):
        write_flac(tmp_path / f"{name}.flac", waveform, whisper.sample_rate_hz)
    long, short = transcribe_files(whisper, [tmp_path / "long.flac", tmp_path / "short.flac"], batch_size=2)
    parts = cut_where_quiet(
        read_audio(tmp_path / "long.flac", whisper.sample_rate_hz), whisper.sample_rate_hz, whisper.longest_s
    )
    assert long == " ".join(text for part in parts if (text := whisper.transcribe([whisper.features(part)])[0]))
    assert short == whisper.transcribe([whisper.features(spoken[0])])[0]


def test_what_is_no_audio_is_refused(whisper, tmp_path):
    (tmp_path / "noise.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"noise\.wav"):
        transcribe_files(whisper, [tmp_path / "noise.wav"])
