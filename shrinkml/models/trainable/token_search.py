"""Transcripts of a decoder that takes one step per token: the likeliest token each time, or a beam of hypotheses.

Both know a decoder as a function from a token and a state to logits and the next state; a batch is decoded together.

References:
    Graves 2012, Sequence transduction with recurrent neural networks, arXiv:1211.3711 (beam search).
    Wu et al. 2016, Google's Neural Machine Translation System, arXiv:1609.08144 (length normalisation, section 7).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

BEAM_LENGTH_POWER = 0.6  # hypotheses are ranked by log probability / length**0.6 (Wu et al. 2016)

State = tuple[Tensor, ...]  # [rows, ...] each
Step = Callable[[Tensor, State], tuple[Tensor, State]]  # token [rows], state -> logits [rows, vocabulary], next state


def best_tokens(step: Step, state: State, most: Tensor, *, end: int, beam: int) -> list[list[int]]:
    """The tokens of each utterance: by `beam_search`, or greedily where `beam` is 1; arguments as for these."""
    if beam == 1:
        return greedy(step, state, most, end=end)
    return beam_search(step, state, most, end=end, beam=beam)


def greedy(step: Step, state: State, most: Tensor, *, end: int) -> list[list[int]]:
    """The tokens of each utterance, the likeliest at each step; behind the first `end` all are `end`.

    Args:
        step: of the decoder, whose rows are the utterances.
        state: before the first token.
        most: [batch], tokens that may be written, ends included.
        end: the token that ends a transcript, and is fed before the first.
    """
    token = torch.full_like(most, end)
    running = torch.ones_like(most, dtype=torch.bool)
    tokens = []
    for length in range(1, int(most.max()) + 1):
        logits, state = step(token, state)
        token = logits.argmax(-1).masked_fill(~running, end)
        tokens.append(token)
        running &= (token != end) & (length < most)
        if not running.any():
            break
    rows: list[list[int]] = torch.stack(tokens, 1).tolist()
    return rows


def beam_search(step: Step, state: State, most: Tensor, *, end: int, beam: int) -> list[list[int]]:
    """The tokens of the best hypothesis of each utterance that ends, of `beam` that grow at a time.

    Args:
        step: of the decoder, whose rows are the hypotheses: `beam` of the first utterance, then those of the next.
        state: before the first token.
        most: [batch], tokens that may be written, ends included.
        end: the token that ends a transcript, and is fed before the first.
        beam: hypotheses of each utterance.
    """
    found = [_Hypotheses(beam, limit) for limit in most.tolist()]
    first_rows = beam * torch.arange(len(most), device=most.device)[:, None]
    scores = torch.full((len(most), beam), -math.inf, device=most.device)
    scores[:, 0] = 0.0  # all hypotheses start equal: only one may branch
    token = torch.full((len(most) * beam,), end, device=most.device)
    while not all(one.done for one in found):
        logits, state = step(token, state)
        following = scores[..., None] + logits.log_softmax(-1).view(*scores.shape, -1)
        scores, flat = following.flatten(1).topk(beam)
        origin, tokens = flat // logits.shape[-1], flat % logits.shape[-1]
        for i, one in enumerate(found):
            one.grow(origin[i].tolist(), tokens[i].tolist(), scores[i].tolist(), end=end)
        state = tuple(part[(first_rows + origin).flatten()] for part in state)
        scores, token = scores.masked_fill(tokens == end, -math.inf), tokens.flatten()
    return [one.best() for one in found]


@dataclass(slots=True)
class _Hypotheses:
    """The hypotheses of one utterance.

    Attributes:
        beam: how many are kept.
        most: tokens of each.
        running: log probability and tokens of those that may grow.
        finished: score and tokens of those that have ended.
        length: tokens of those that may grow.
    """

    beam: int
    most: int
    running: list[tuple[float, list[int]]] = field(default_factory=list)
    finished: list[tuple[float, list[int]]] = field(default_factory=list)
    length: int = 0

    @property
    def done(self) -> bool:
        """True where no hypothesis that runs can become better than the best that has ended, however it goes on."""
        if self.length in (0, self.most):
            return self.length == self.most
        best_running = max(score for score, _ in self.running)
        best_finished = max((score for score, _ in self.finished), default=-math.inf)
        return best_finished >= best_running / math.pow(self.most, BEAM_LENGTH_POWER)  # probabilities only fall

    def grow(self, origins: Sequence[int], tokens: Sequence[int], scores: Sequence[float], *, end: int) -> None:
        """Replace the hypotheses by those that go on from `origins` with `tokens`; nothing changes where all is done.

        Args:
            origins: which of the present ones each goes on from.
            tokens: that are added.
            scores: log probability of each, `-inf` of what cannot be.
            end: the token that ends one.
        """
        if self.done:
            return
        self.length += 1
        before = self.running or [(0.0, [])] * self.beam
        grown = [(score, [*before[o][1], t]) for o, t, score in zip(origins, tokens, scores, strict=True)]
        for score, prefix in grown:
            if prefix[-1] == end and score > -math.inf:
                self.finished.append((score / self.length**BEAM_LENGTH_POWER, prefix))
        self.running = [(-math.inf if prefix[-1] == end else score, prefix) for score, prefix in grown]

    def best(self) -> list[int]:
        """The tokens of the best that has ended, or else of the likeliest."""
        return max(self.finished or self.running, key=lambda scored: scored[0])[1]
