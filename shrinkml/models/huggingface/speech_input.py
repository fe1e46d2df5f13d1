"""Waveforms to what a Hugging Face network is fed, by the feature extractor that came with it.

Networks take speech in one of three forms: samples, log-mel frames, or a window of log-mel frames of a fixed length
(Whisper's 30 s). All of them are kept here as [frames, dims], as long as the utterance is.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shrinkml.errors import AudioError, ConfigError

Form = Literal["samples", "frames", "window"]

LEAST_S = 0.1  # shorter waveforms are filled up with silence: convolutions need a window's worth of samples
FRAME_SHIFT_S = 0.01  # of extractors that do not tell theirs


class Inputs(NamedTuple):
    """A batch for a network.

    Attributes:
        values: [batch, ...] in the network's own layout.
        mask: [batch, frames], 1 at valid frames; None where all are.
    """

    values: Tensor
    mask: Tensor | None


class Speech:
    """A feature extractor and the form of its output; shared by copies, never changed.

    Attributes:
        sample_rate_hz: the sample rate that `features` expects.
    """

    def __init__(self, extractor: Any) -> None:
        """Speech for the network that `extractor`, of transformers, belongs to.

        Raises:
            ConfigError: its sampling rate is none.
        """
        self.extractor = extractor
        self.sample_rate_hz = _whole_rate_hz(extractor.sampling_rate)
        self.main_input: str = extractor.model_input_names[0]  # the network's argument
        self.window: int | None = getattr(extractor, "nb_max_frames", None)
        self.form: Form = "samples" if self.main_input == "input_values" else "window" if self.window else "frames"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Speech":
        return self

    def features(self, waveform: np.ndarray) -> Tensor:
        """[frames, dims] float32 of a mono `waveform` [samples].

        Raises:
            AudioError: longer than the window of the model.
        """
        n_samples, least = len(waveform), int(LEAST_S * self.sample_rate_hz)
        waveform = np.pad(waveform.astype(np.float32), (0, max(0, least - len(waveform))))
        length_s = len(waveform) / self.sample_rate_hz
        if self.longest_s is not None and length_s > self.longest_s:
            raise AudioError(
                f"{length_s:.1f} s of audio; this model hears at most {self.longest_s:g} s at once: "
                "cut the utterance where nobody speaks"
            )
        with np.errstate(divide="ignore", invalid="ignore"):  # digital silence has no variance to divide by
            found = self.extractor(waveform, sampling_rate=self.sample_rate_hz, return_tensors="pt")
        values = torch.as_tensor(found[self.main_input][0], dtype=torch.float32).nan_to_num(0.0)
        if self.form == "samples":
            return values[:, None]
        if self.form == "window":
            return values.T[: self.frames_of(n_samples)].clone()
        mask = found.get("attention_mask")
        return values if mask is None else values[: int(mask[0].sum())]

    def frames_of(self, n_samples: int) -> int:
        """Frames of a window up to the first that hears nothing of an utterance of `n_samples`, that included."""
        reach = int(self.extractor.n_fft) // 2  # frames are centred on multiples of the shift
        return min(int(self.extractor.nb_max_frames), 1 - (-(n_samples + reach) // int(self.extractor.hop_length)))

    @property
    def longest_s(self) -> float | None:
        """Seconds of the longest utterance that `features` takes; None where any length will do."""
        return self.extractor.n_samples / self.sample_rate_hz if self.form == "window" else None

    def seconds(self, features: Tensor) -> float:
        """The length of the utterance."""
        return len(features) * self.samples_per_frame / self.sample_rate_hz

    @property
    def samples_per_frame(self) -> float:
        """Samples from one row of `features` to the next."""
        if self.form == "samples":
            return 1.0
        return float(getattr(self.extractor, "hop_length", FRAME_SHIFT_S * self.sample_rate_hz))

    def batch(self, features: Sequence[Tensor], device: torch.device, *, window: int | None = None) -> Inputs:
        """`features` side by side as the network wants them; of a window, the first `window` frames at least."""
        if self.window:
            n_frames = window or self.window
            # Silence has the least energy there is. Not the last frame again: training may have masked that.
            filled = [F.pad(one.T, (0, n_frames - len(one)), value=float(one.min())) for one in features]
            return Inputs(torch.stack(filled).to(device), None)
        lengths = torch.tensor([len(one) for one in features])
        padded = pad_sequence(list(features), batch_first=True)
        values = (padded.squeeze(-1) if self.form == "samples" else padded).to(device)
        if bool((lengths == lengths[0]).all()):
            return Inputs(values, None)
        return Inputs(values, (torch.arange(values.shape[1]) < lengths[:, None]).long().to(device))


def alike(keys: Iterable[Hashable]) -> list[list[int]]:
    """The indices of `keys`, those of equal ones together."""
    groups: dict[Hashable, list[int]] = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def _whole_rate_hz(rate: Any) -> int:
    if not isinstance(rate, int | float) or rate < 1 or rate % 1:  # of infinity, the remainder is NaN
        raise ConfigError(f"sampling_rate is {rate!r}; allowed: a whole number of samples per second")
    return int(rate)
