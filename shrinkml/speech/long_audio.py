"""Recordings that are longer than a recogniser hears at once, cut where they are quietest.

Stock pipelines cut by the clock and mend the text where pieces overlap; a cut between words needs no mending. The rule
is our own.
"""

import numpy as np

FRAME_S = 0.02  # energies are taken over so much,
PAUSE_S = 0.3  # and a pause, whose middle is a place to cut at, is as many of them
LEAST_PART = 0.5  # of what is heard at once, in every part but the last


def cut_where_quiet(waveform: np.ndarray, sample_rate_hz: int, longest_s: float | None) -> list[np.ndarray]:
    """The parts of `waveform` [samples], one after another, each at most `longest_s` long.

    Each ends in the middle of the quietest pause of the second half that it could have; the last one with the end.

    Args:
        waveform: mono.
        sample_rate_hz: of it.
        longest_s: seconds that are heard at once; None for any.
    """
    most = len(waveform) if longest_s is None else int(longest_s * sample_rate_hz)
    parts, rest = [], waveform
    while len(rest) > most:
        end = _quietest(rest[:most], sample_rate_hz)
        parts.append(rest[:end])
        rest = rest[end:]
    return [*parts, rest]


def _quietest(waveform: np.ndarray, sample_rate_hz: int) -> int:
    """The sample in the middle of the quietest pause in the second half of `waveform`."""
    frame = max(1, int(FRAME_S * sample_rate_hz))
    late = waveform[int(LEAST_PART * len(waveform)) :]
    frames = late[: len(late) // frame * frame].reshape(-1, frame).astype(np.float64)
    n = min(len(frames), round(PAUSE_S / FRAME_S))
    energies = np.convolve((frames**2).sum(1), np.ones(n), mode="valid")
    return len(waveform) - len(late) + int(energies.argmin()) * frame + n * frame // 2
