"""An exported recogniser, run by ONNX Runtime and numpy alone."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from shrinkml.errors import AudioError
from shrinkml.export.label_posteriors import label_posteriors
from shrinkml.export.recipe import DECODER, ENCODER, LIMIT, read_recipe
from shrinkml.extras import needs
from shrinkml.speech.loops import before_loop, without_loop
from shrinkml.speech.silence import NO_SPEECH, nobody_speaks

with needs("an exported recogniser"):
    import onnxruntime

Arrays = dict[str, np.ndarray]
T = TypeVar("T")


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
        """One transcript per waveform [samples], decoded greedily, in one batch where they may be run together."""
        if self.recipe.end is None:
            return [self._collapsed(row.argmax(-1).tolist()) for row in self.frames(waveforms)]
        return self._grouped(waveforms, lambda group: self._written([waveforms[i] for i in group]))

    def frames(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        """[frames, vocabulary] of each utterance: a CTC model's scores."""

        def run(group: list[int]) -> list[np.ndarray]:
            heard = self._encode([waveforms[i] for i in group])
            return [row[:steps] for row, steps in zip(heard["logits"], heard["steps"], strict=True)]

        return self._grouped(waveforms, run)

    def scores(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """[steps, vocabulary]: all scores of one utterance after another; a decoder is fed `tokens`, one row each."""
        return np.concatenate(self.rows(waveforms, tokens))

    def rows(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """[steps, vocabulary] of each utterance, as `Head.rows` of the recogniser gives them."""
        if not self.recipe.state:
            return self.frames(waveforms)
        if self.recipe.blank is not None:
            return self._label_rows(waveforms, tokens)
        rows = self.logits(waveforms, tokens)
        return [row[: len(fed) + 1] for row, fed in zip(rows, tokens, strict=True)]

    def _label_rows(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> list[np.ndarray]:
        """Posteriors of each next label, whatever the alignment: every node of the lattices is visited."""
        (first,), blank = self.recipe.prompt[0], self.recipe.blank
        assert blank is not None, "a transducer goes on by blanks"
        padded = np.array([[*row, *[blank] * (max(map(len, tokens)) - len(row))] for row in tokens], np.int64)

        def run(group: list[int]) -> list[np.ndarray]:
            heard = self._encode([waveforms[i] for i in group])
            del heard[LIMIT]
            steps, columns = heard["steps"], []
            for label in (None, *padded[group].T):
                if label is not None:
                    self._step(label, heard)
                column = [self._step(np.full(len(group), first), heard)]  # back at the first step
                ahead = dict(heard)
                column += [self._step(np.full(len(group), blank), ahead) for _ in range(1, steps.max())]
                columns.append(np.stack(column, 1))
            lattices = np.stack(columns, 2)
            return [
                label_posteriors(lattice[:n, : len(tokens[i]) + 1], tokens[i], blank)
                for i, n, lattice in zip(group, steps, lattices, strict=True)
            ]

        return self._grouped(waveforms, run)

    def logits(self, waveforms: Sequence[np.ndarray], tokens: Sequence[Sequence[int]]) -> np.ndarray:
        """[batch, steps, vocabulary]: scores of each next token when the decoder is fed `tokens`, one row each.

        Before those, it is given the first token of its prompt.
        """
        start, longest = self.recipe.prompt[0][0], max(map(len, tokens))
        padded = np.array([[start, *row, *[self.recipe.end] * (longest - len(row))] for row in tokens])

        def run(group: list[int]) -> list[np.ndarray]:
            heard = self._encode([waveforms[i] for i in group])
            del heard[LIMIT]
            return list(np.stack([self._step(token, heard) for token in padded[group].T], 1))

        rows: list[np.ndarray] = self._grouped(waveforms, run)
        return np.stack(rows)

    def _grouped(self, waveforms: Sequence[np.ndarray], run: Callable[[list[int]], list[T]]) -> list[T]:
        """The results of `run` for each utterance, given the indices of those that may be run together."""
        groups: dict[int, list[int]] = {}
        for i, waveform in enumerate(waveforms):
            alike = bisect_left(self.recipe.windows, len(waveform)) if self.recipe.pads else len(waveform)
            groups.setdefault(alike, []).append(i)
        found = {i: one for group in groups.values() for i, one in zip(group, run(group), strict=True)}
        return [found[i] for i in range(len(waveforms))]

    def _collapsed(self, path: list[int]) -> str:
        return self.recipe.text(token for token, _ in groupby(path))

    def _written(self, waveforms: Sequence[np.ndarray]) -> list[str]:
        """The decoder's transcript of each of `waveforms`, run together."""
        recipe = self.recipe
        heard = self._encode(waveforms)
        most = heard.pop(LIMIT)
        scores, no_speech = self._prompted(len(waveforms), heard)
        scores[:, list(recipe.suppressed_first)] = -np.inf
        sums, counts = np.zeros(len(waveforms)), np.zeros(len(waveforms))
        tokens: list[np.ndarray] = []
        running = np.ones(len(waveforms), dtype=bool)
        while running.any():
            if tokens:
                scores = self._step(tokens[-1], heard)
            scores[:, list(recipe.suppressed)] = -np.inf
            token: np.ndarray = scores.argmax(-1)
            token[~running] = recipe.end
            tokens.append(token)
            for i in np.flatnonzero(running & (no_speech > NO_SPEECH)):
                sums[i] += np.log(_softmax(scores[i]).max())
                counts[i] += 1
            running &= (token != recipe.end) & (len(tokens) < most)
            rows = [recipe.spoken(row) for row in np.stack(tokens, 1).tolist()]
            if recipe.ends_loops:
                running &= [before_loop(row, recipe.text) is None for row in rows]
        spoken = [without_loop(row, recipe.text) for row in rows] if recipe.ends_loops else rows
        silent = map(nobody_speaks, no_speech, sums / np.maximum(counts, 1), map(len, spoken))
        return ["" if nobody else recipe.text(row) for row, nobody in zip(spoken, silent, strict=True)]

    def _prompted(self, n: int, heard: Arrays) -> tuple[np.ndarray, np.ndarray]:
        """The scores of what is written first to `n` utterances; the state in `heard` goes on behind the prompt.

        Also the probability of each that nobody speaks, 0 where there is no token for that.
        """
        scores, no_speech = np.zeros((n, len(self.recipe.vocabulary)), np.float32), np.zeros(n)
        for place, choices in enumerate(self.recipe.prompt):
            token = np.array(choices)[scores[:, list(choices)].argmax(-1)]
            scores = self._step(token, heard)
            if place == 0 and self.recipe.no_speech is not None:
                no_speech = _softmax(scores)[:, self.recipe.no_speech]
        return scores, no_speech

    def _encode(self, waveforms: Sequence[np.ndarray]) -> Arrays:
        """The encoder's outputs for `waveforms`, the decoder's first state included."""
        lengths = np.array([len(waveform) for waveform in waveforms])
        shortest, longest = self.recipe.shortest_samples, self.recipe.longest_samples
        if lengths.min() < shortest:
            raise AudioError(f"a waveform of {lengths.min()} samples; allowed: {shortest} or more")
        if longest is not None and lengths.max() > longest:
            raise AudioError(
                f"a waveform of {lengths.max()} samples; allowed: {longest} or less, cut where it is quiet"
            )
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


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities [..., vocabulary] of `scores`."""
    above = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(above / above.sum(-1, keepdims=True))
