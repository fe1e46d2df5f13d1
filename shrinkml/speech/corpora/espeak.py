"""eSpeak NG, the formant synthesiser, through the shared library that the `espeakng-loader` package ships.

The library keeps one synthesiser per process, and what it said before leaves traces of a sample or two in what it says
next: only a fresh process that is asked for the same phrases in the same order gives the same samples. `synthesis`
therefore starts a process per shard; this module only speaks.

References:
    espeak-ng/speak_lib.h (eSpeak NG 1.52): the C interface, its enumerations and value ranges.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import espeakng_loader
import numpy as np

from shrinkml.errors import AudioError

# Values of the enumerations in speak_lib.h.
AUDIO_OUTPUT_SYNCHRONOUS = 2  # samples go to the callback before espeak_Synth returns; no sound device
INITIALIZE_DONT_EXIT = 0x8000  # report a missing data folder instead of ending the process
CHARS_UTF8 = 1
POS_CHARACTER = 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4
BUFFER_MS = 200
BREATH_SEED = 1

SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice, and the way in which it speaks.

    Attributes:
        name: eSpeak's accent and variant ("en-us+m3").
        rate_wpm: speaking rate in words per minute, 80 to 450.
        pitch: 0 to 99; 50 is the variant's own.
        pitch_range: 0 (monotone) to 99; 50 is the variant's own.
    """

    name: str
    rate_wpm: int = 175
    pitch: int = 50
    pitch_range: int = 50


class Espeak:
    """This process's synthesiser."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self.sample_rate_hz: int = self._library.espeak_Initialize(
            AUDIO_OUTPUT_SYNCHRONOUS, BUFFER_MS, espeakng_loader.get_data_path().encode(), INITIALIZE_DONT_EXIT
        )
        if self.sample_rate_hz <= 0:
            raise AudioError("eSpeak NG found no voice data; reinstall the package espeakng-loader")
        # eSpeak seeds its breath noise by the clock.
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(BREATH_SEED))
        self._chunks: list[np.ndarray] = []
        # Held here: ctypes would free a callback that only C knows of.
        self._callback = SynthCallback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: Voice) -> np.ndarray:
        """[samples] float32 waveform in [-1, 1] of `voice` saying `text`, at `sample_rate_hz`.

        Raises:
            AudioError: eSpeak has no such voice, or nothing to say.
        """
        self._chunks.clear()
        # eSpeak speaks with its default variant when it does not know the one asked for, so that is looked up here.
        variant = Path(espeakng_loader.get_data_path(), "voices", "!v", voice.name.partition("+")[2])
        if not variant.is_file() or self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise AudioError(f"eSpeak NG has no voice {voice.name!r}; a voice is accent+variant, like 'en-us+m3'")
        for parameter, value in (
            (RATE, voice.rate_wpm),
            (PITCH, voice.pitch),
            (RANGE, voice.pitch_range),
            (VOLUME, 100),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, ctypes.c_size_t(len(data) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._chunks)
        if not samples.any():
            raise AudioError(f"eSpeak NG said nothing for {text!r}; give it words")
        return samples.astype(np.float32) / 32768.0

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", n_samples: int, _events: int | None) -> int:
        if samples and n_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
        return 0  # go on
