import numpy as np
import pytest

from shrinkml.errors import AudioError
from shrinkml.speech.features import CENTRED, WHOLE, LogMelStream, log_mel

RATE_HZ = 16_000


def noise(n_samples: int, scale: float = 0.1) -> np.ndarray:
    return (scale * np.random.default_rng(0).standard_normal(n_samples)).astype(np.float32)


@pytest.mark.parametrize("n_mels", [40, 80])
def test_a_second_gives_98_frames_of_25_ms_every_10_ms(n_mels):
    mel = log_mel(noise(RATE_HZ), RATE_HZ, n_mels=n_mels)
    assert mel.shape == (98, n_mels)  # 1 + (1000 - 25) // 10
    assert mel.dtype == np.float32


def test_equal_waveforms_give_equal_features():
    np.testing.assert_array_equal(log_mel(noise(RATE_HZ), RATE_HZ), log_mel(noise(RATE_HZ), RATE_HZ))


def test_twice_the_amplitude_adds_the_log_of_four():
    quiet, loud = (log_mel(noise(RATE_HZ, scale), RATE_HZ) for scale in (0.1, 0.2))
    np.testing.assert_allclose(loud - quiet, np.log(4), atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000])
def test_a_tone_is_loudest_in_the_mel_bin_around_its_frequency(rate_hz):
    n_mels, pitch_hz = 40, 1000.0
    tone = np.sin(2 * np.pi * pitch_hz * np.arange(rate_hz) / rate_hz)

    def to_mel(hz: float) -> float:
        return 1127.0 * np.log(1.0 + hz / 700.0)  # the scale that Kaldi spaces its bins on

    edges = np.linspace(to_mel(20.0), to_mel(rate_hz / 2), n_mels + 2)
    loudest = int(log_mel(tone, rate_hz, n_mels=n_mels).mean(axis=0).argmax())
    assert edges[loudest] < to_mel(pitch_hz) < edges[loudest + 2]


def test_digital_silence_is_finite():
    assert np.isfinite(log_mel(np.zeros(RATE_HZ, np.float32), RATE_HZ)).all()


def test_less_than_one_frame_is_refused():
    assert log_mel(noise(400), RATE_HZ).shape == (1, 80)
    with pytest.raises(AudioError, match=r"399 samples is shorter than one frame \(400 samples\)"):
        log_mel(noise(399), RATE_HZ)


def test_centred_frames_begin_every_10_ms_and_leave_the_highest_frequencies_out():
    assert log_mel(noise(RATE_HZ), RATE_HZ, framing=CENTRED).shape == (100, 80)
    assert log_mel(noise(RATE_HZ + 80), RATE_HZ, framing=CENTRED).shape == (101, 80), "half of a step counts"
    hiss = np.sin(2 * np.pi * 7900 * np.arange(RATE_HZ) / RATE_HZ)
    last = [log_mel(hiss, RATE_HZ, framing=framing)[50, -1] for framing in (WHOLE, CENTRED)]
    assert last[0] > last[1] + 3


@pytest.mark.parametrize("framing", [WHOLE, CENTRED], ids=["whole", "centred"])
@pytest.mark.parametrize("piece", [1, 160, 777, RATE_HZ])
def test_pieces_give_the_frames_of_the_whole(framing, piece):
    waveform = noise(5_000)
    stream = LogMelStream(RATE_HZ, framing=framing)
    parts = [stream.accept(waveform[start : start + piece]) for start in range(0, len(waveform), piece)]
    np.testing.assert_array_equal(
        np.concatenate([*parts, stream.finish()]), log_mel(waveform, RATE_HZ, framing=framing)
    )
    if piece == 160:
        assert max(map(len, parts)) == 1
