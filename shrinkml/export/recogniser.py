"""An exported recogniser, run by ONNX Runtime and numpy alone."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

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
        parts = (ENCODER, DECODER) if self.recipe.state else (ENCODER,)
        self._sessions = {
            part: onnxruntime.InferenceSession(
                str(folder / f"{part}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for part in parts
        }

    def transcribe(self, waveforms: Sequence[np.ndarray]) -> list[str]:
        """One transcript per waveform [samples], decoded greedily as one batch."""
        end = self.recipe.end
        if end is None:
            return [self._collapsed(row.argmax(-1).tolist()) for row in self.frames(waveforms)]
        heard = self._encode(waveforms)
        most = heard["steps"] + 1
        tokens = []
        token = np.full(len(waveforms), self.recipe.start)
        running = np.ones(len(waveforms), dtype=bool)
        for length in range(1, int(most.max()) + 1):
            logits = self._step(token, heard)
            token = np.where(running, logits.argmax(-1), end)
            tokens.append(token)
            running &= (token != end) & (length < most)
            if not running.any():
                break
        return [self.recipe.text(row) for row in np.stack(tokens, 1).tolist()]

    def frames(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """[frames, vocabulary] of each utterance: a CTC model's scores."""
        heard = self._encode(waveforms)
        return [row[:steps] for row, steps in zip(heard["logits"], heard["steps"], strict=True)]

    def logits(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """[batch, steps, vocabulary]: scores of each next token when the decoder is fed `tokens`, one row each."""
        heard = self._encode(waveforms)
        return np.stack(list(self._forced(heard, tokens)), 1)

    def _collapsed(self, path: list[int]) -> str:
        return self.recipe.text(token for token, _ in groupby(path))

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
        return self._run(ENCODER, {"waveforms": padded, "lengths": lengths})

    def _step(self, token: np.ndarray, heard: Arrays) -> np.ndarray:
        """The logits behind `token`; the state in `heard` goes one token further."""
        logits, *state = self._run(DECODER, {"token": token, **heard}).values()
        heard.update(zip(self.recipe.state, state, strict=True))
        return logits

    def _run(self, part: str, inputs: Arrays) -> Arrays:
        session = self._sessions[part]
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))
