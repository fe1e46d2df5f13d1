"""An exported recogniser, run by ONNX Runtime and numpy alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from shrinkml.errors import AudioError
from shrinkml.export.recipe import DECODER, ENCODER, read_recipe

Arrays = dict[str, np.ndarray]


class OnnxRecogniser:
    """The recogniser in an exported folder.

    Args:
        folder: what `shrinkml export` wrote.
        threads: that ONNX Runtime may use; 0 for as many as the machine has cores.

    Raises:
        ExportError: no exported folder.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        self.recipe = read_recipe(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._encoder, self._decoder = (
            onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
            for name in (ENCODER, DECODER)
        )

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[str]:
        """One transcript per waveform [samples], decoded greedily as one batch."""
        heard = self._encode(waveforms)
        most = heard["steps"] + 1
        tokens = []
        token = np.full(len(waveforms), self.recipe.start)
        running = np.ones(len(waveforms), dtype=bool)
        for length in range(1, int(most.max()) + 1):
            logits = self._step(token, heard)
            token = np.where(running, logits.argmax(-1), self.recipe.end)
            tokens.append(token)
            running &= (token != self.recipe.end) & (length < most)
            if not running.any():
                break
        return [self.recipe.text(row) for row in np.stack(tokens, 1).tolist()]

    def logits(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """[batch, steps, vocabulary]: scores of each next token when the decoder is fed `tokens`, one row each."""
        heard = self._encode(waveforms)
        return np.stack(list(self._forced(heard, tokens)), 1)

    def _forced(self, heard: Arrays, tokens: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
        longest = max(map(len, tokens))
        padded = np.array([[self.recipe.start, *row, *[self.recipe.end] * (longest - len(row))] for row in tokens])
        for token in padded.T:
            yield self._step(token, heard)

    def _encode(self, waveforms: Sequence[np.ndarray]) -> Arrays:
        """What the decoder needs to know of `waveforms`, its first state included."""
        lengths = np.array([len(waveform) for waveform in waveforms])
        if lengths.min() < self.recipe.shortest_samples:
            shortest = self.recipe.shortest_samples
            raise AudioError(f"a waveform of {lengths.min()} samples; allowed: {shortest} or more")
        padded = np.zeros((len(waveforms), lengths.max()), np.float32)
        for row, waveform in zip(padded, waveforms, strict=True):
            row[: len(waveform)] = waveform
        return _run(self._encoder, {"waveforms": padded, "lengths": lengths})

    def _step(self, token: np.ndarray, heard: Arrays) -> np.ndarray:
        """The logits behind `token`; the state in `heard` goes one token further."""
        logits, *state = _run(self._decoder, {"token": token, **heard}).values()
        heard.update(zip(self.recipe.state, state, strict=True))
        return logits


def _run(session: Any, inputs: Arrays) -> Arrays:
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
