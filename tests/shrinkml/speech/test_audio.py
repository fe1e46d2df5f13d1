from pathlib import Path

import numpy as np
import pytest
import soundfile

from shrinkml.errors import AudioError
from shrinkml.speech import audio
from shrinkml.speech.audio import audio_digest, audio_duration_s, read_audio, write_flac

RATE_HZ = 16_000
TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)


def write(path: Path, samples: np.ndarray = TONE, rate_hz: int = RATE_HZ, **options: str | None) -> Path:
    soundfile.write(path, samples, rate_hz, **options)
    return path


def pitch_hz(waveform: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(waveform)).argmax() * RATE_HZ / len(waveform))


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "FLOAT"), ("WAV", "PCM_16"), ("FLAC", "PCM_16")])
def test_lossless_formats_give_back_their_samples(tmp_path, container, subtype):
    waveform = read_audio(write(tmp_path / "a.audio", format=container, subtype=subtype), RATE_HZ)
    assert waveform.dtype == np.float32
    assert waveform.shape == TONE.shape
    np.testing.assert_allclose(waveform, TONE, atol=2**-14)  # two steps of 16 bits


@pytest.mark.parametrize("container", ["OGG", "MP3"])
def test_lossy_formats_are_read_even_under_a_wav_name(tmp_path, container):
    path = write(tmp_path / "mislabelled.wav", format=container)
    assert path.read_bytes()[:4] != b"RIFF"
    waveform = read_audio(path, RATE_HZ)
    assert abs(len(waveform) - RATE_HZ) <= 2 * 1152  # an encoder pads by up to two frames
    assert pitch_hz(waveform) == pytest.approx(440, abs=2)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([TONE, np.zeros_like(TONE)], axis=1)
    waveform = read_audio(write(tmp_path / "a.wav", stereo, subtype="FLOAT"), RATE_HZ)
    np.testing.assert_allclose(waveform, TONE / 2, atol=1e-6)


@pytest.mark.parametrize("file_rate_hz", [8_000, 22_050, 48_000])
def test_resampling_keeps_duration_and_pitch(tmp_path, file_rate_hz):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(file_rate_hz) / file_rate_hz)
    waveform = read_audio(write(tmp_path / "a.wav", tone, file_rate_hz), RATE_HZ)
    assert len(waveform) == RATE_HZ
    assert pitch_hz(waveform) == pytest.approx(440, abs=1)


def cut(path: Path, share: float = 0.5) -> Path:
    """A file that breaks off behind `share` of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def streamed(path: Path) -> Path:
    """A FLAC as encoders write it that do not know the end yet: no number of samples in its header."""
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number's 36 bits stand in the second half of STREAMINFO's bytes (RFC 9639, section 8.2)
    content[22:26] = bytes(4)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("container", "subtype"), [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("WAV", None)])
@pytest.mark.parametrize("share", [0.6, 1.0])
def test_the_duration_is_of_what_can_be_heard(tmp_path, container, subtype, share):
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)
    path = cut(write(tmp_path / "a.wav", noise, format=container, subtype=subtype), share)
    heard_s = len(read_audio(path, RATE_HZ)) / RATE_HZ
    assert audio_duration_s(path) == heard_s
    assert heard_s == pytest.approx(4 * share, abs=0.8)


def test_a_flac_without_a_length_is_heard_to_its_end(tmp_path):
    path = streamed(write(tmp_path / "a.flac", np.tile(TONE, 10)))
    assert soundfile.info(path).frames > 2**62
    assert audio_duration_s(path) == 10.0
    np.testing.assert_allclose(read_audio(path, RATE_HZ), np.tile(TONE, 10), atol=2**-14)


@pytest.mark.parametrize(("container", "subtype"), [("WAV", "GSM610"), ("AU", "G721_32")])
def test_a_file_that_cannot_be_sought_in_is_heard(tmp_path, container, subtype):
    path = write(tmp_path / "a.audio", TONE, format=container, subtype=subtype)
    assert not soundfile.SoundFile(path).seekable()
    assert audio_duration_s(path) == len(read_audio(path, RATE_HZ)) / RATE_HZ == pytest.approx(1.0, abs=0.02)


def test_a_flac_that_breaks_off_is_refused_by_its_header(tmp_path):
    path = cut(write(tmp_path / "a.flac"), 0.9)
    message = (
        r"a\.flac breaks off: its header states 16000 samples, and the last cannot be read; fetch or write it again"
    )
    with pytest.raises(AudioError, match=message):
        audio_duration_s(path)


def test_a_file_is_counted_once_until_it_changes(tmp_path, monkeypatch):
    path, opened = write(tmp_path / "a.wav", format="MP3"), []
    monkeypatch.setattr(audio, "_length_s", lambda path: opened.append(path) or 1.0)
    assert [audio_duration_s(path), audio_duration_s(path)] == [1.0, 1.0]
    assert opened == [path]
    write(path, np.tile(TONE, 2), format="MP3")
    audio_duration_s(path)
    assert opened == [path, path]


def test_the_header_states_the_duration(tmp_path):
    assert audio_duration_s(write(tmp_path / "a.wav", TONE[:4000])) == 0.25


def test_written_flac_is_read_back(tmp_path):
    write_flac(tmp_path / "a.flac", TONE, RATE_HZ)
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac", RATE_HZ), TONE, atol=2**-14)


def test_the_digest_goes_by_what_is_heard_not_by_name_or_lossless_format(tmp_path):
    steps = (TONE * 32767).astype(np.int16)  # whole steps, which no format rounds
    wav = write(tmp_path / "a.wav", steps)
    flac = write(tmp_path / "b.flac", steps)
    other = write(tmp_path / "c.wav", -steps)
    assert wav.read_bytes() != flac.read_bytes()
    assert audio_digest(wav) == audio_digest(flac)
    assert audio_digest(wav) != audio_digest(other)


@pytest.mark.parametrize("use", [lambda path: read_audio(path, RATE_HZ), audio_duration_s, audio_digest])
class TestUnusableFiles:
    def test_a_missing_file_is_refused(self, tmp_path, use):
        with pytest.raises(AudioError, match=r"no audio file .*gone\.wav"):
            use(tmp_path / "gone.wav")

    @pytest.mark.parametrize("name", ["notes.wav", "notes.raw"])
    def test_a_file_that_is_no_audio_is_refused(self, tmp_path, use, name):
        (tmp_path / name).write_text("this is text")
        with pytest.raises(AudioError, match=r"cannot read .*notes.* as audio .*allowed: WAV, FLAC, OGG, MP3"):
            use(tmp_path / name)

    def test_a_file_without_samples_is_refused(self, tmp_path, use):
        path = write(tmp_path / "empty.wav", TONE[:0])
        with pytest.raises(AudioError, match=r"empty\.wav holds no samples"):
            use(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(tmp_path, bad):
    path = write(tmp_path / "bad.wav", np.append(TONE, np.float32(bad)), subtype="FLOAT")
    with pytest.raises(AudioError, match="not finite"):
        read_audio(path, RATE_HZ)
