"""Greedy transcripts of a Whisper, written with a draft at hand: the same words in a few passes instead of one a token.

The decoder is fed a draft, the original's transcript, whole; what it would have written after each token shows how far
the draft is its own. From the first token that it is not, the rest is drafted again. What comes out is what greedy
decoding token by token gives, but for ties within rounding; a good draft is six times as fast, a bad one as slow.

References:
    Stern et al. 2018, Blockwise parallel decoding for deep autoregressive models, arXiv:1811.03115 (verifying a draft).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq
from shrinkml.speech.loops import without_loop
from shrinkml.training.dataset import Dataset

BATCH_SIZE = 16
LEAD = " "  # what a Whisper writes before the first word
AHEAD = 4  # tokens of a draft that the network may leave out before the rest of it is thought to be lost
LOOP = 16  # tokens that are drafted from what was written before, where the draft has come to an end

Encode = Callable[[Sequence[Tensor]], Tensor]


@torch.inference_mode()
def drafted_transcripts(
    model: HuggingFaceSeq2Seq, speech: Dataset, drafts: Sequence[str], *, encode: Encode | None = None
) -> list[str]:
    """The transcript of each utterance of `speech`, as `model` writes it; `drafts` are guesses at them.

    Args:
        model: a Whisper, in any floating-point type.
        speech: the utterances.
        drafts: one of each.
        encode: gives the states [batch, positions, hidden] of features, if not the encoder of `model`.
    """
    model.module.eval()
    encode = encode or (lambda features: states_of(model, features))
    heard: dict[int, str] = {}
    for batch in speech.batches(BATCH_SIZE):
        features = [speech.features[i] for i in batch]
        guesses = [model.text.encode(LEAD + drafts[i]) for i in batch]
        most = [model._most_tokens(one) for one in features]
        written = _written(model, encode(features), guesses, most)
        for i, tokens in zip(batch, written, strict=True):
            spoken = [token for token in tokens if token not in model.text.special_ids]
            heard[i] = model.text.decode(without_loop(spoken, model.text.decode))
    return [heard[i] for i in range(len(speech))]


def states_of(model: HuggingFaceSeq2Seq, features: Sequence[Tensor]) -> Tensor:
    """[batch, positions, hidden] of the encoder, which hears its whole window."""
    values = model.inputs(features)[model.speech.main_input]
    states: Tensor = model.network.get_encoder()(values.to(model.network.dtype)).last_hidden_state
    return states


def _written(
    model: HuggingFaceSeq2Seq, states: Tensor, drafts: Sequence[Sequence[int]], most: Sequence[int]
) -> list[list[int]]:
    """The tokens behind the prompt, of each utterance at most so many, the end left out."""
    sure: list[list[int]] = [[] for _ in drafts]
    guesses = [list(draft)[:limit] for draft, limit in zip(drafts, most, strict=True)]
    running = list(range(len(drafts)))
    cross = DynamicCache()
    while running:
        start = min(len(sure[i]) for i in running)
        cache = EncoderDecoderCache(DynamicCache(), cross)
        told = _likeliest(model, states, [sure[i] + guesses[i] for i in running], start, cache)
        cross, left = cache.cross_attention_cache, []
        for row, i in enumerate(running):
            fed = sure[i] + guesses[i]
            place = len(sure[i])
            while place < len(fed) and told[row][place - start] == fed[place]:
                place += 1
            token = told[row][place - start]
            ends = token == model.end
            sure[i] = fed[:place] if ends else [*fed[:place], token]
            if ends or len(sure[i]) >= most[i]:
                sure[i] = sure[i][: most[i]]
                continue
            guesses[i] = redrafted(sure[i], fed[place:], model.text.decode)[: most[i] - len(sure[i])]
            left.append(row)
        running = [running[row] for row in left]
        if running:
            chosen = torch.tensor(left)
            states = states[chosen]
            cross.batch_select_indices(chosen)
    return sure


def _likeliest(
    model: HuggingFaceSeq2Seq, states: Tensor, fed: Sequence[Sequence[int]], start: int, cache: EncoderDecoderCache
) -> list[list[int]]:
    """The token that each row would write behind its prompt and its first `start`, `start` + 1, ... tokens."""
    prompt = [token for (token,) in model.prompt]
    longest = max(map(len, fed))
    rows = [[*prompt, *row, *[model.end] * (longest - len(row))] for row in fed]
    output = model.network.model.decoder(
        input_ids=torch.tensor(rows), encoder_hidden_states=states, past_key_values=cache, use_cache=True
    )
    scores = model.network.proj_out(output.last_hidden_state[:, len(prompt) - 1 + start :])
    settings = model.network.generation_config
    scores[..., settings.suppress_tokens or []] = -torch.inf
    if start == 0:
        scores[:, 0, settings.begin_suppress_tokens or []] = -torch.inf
    told: list[list[int]] = scores.argmax(-1).tolist()
    return told


def redrafted(sure: Sequence[int], rest: Sequence[int], decode: Callable[[Sequence[int]], str]) -> list[int]:
    """A guess at what follows `sure`, whose last token stands where a draft had `rest`.

    A guess costs nothing where it is wrong but a pass.
    """
    token, ahead = sure[-1], list(rest[1 : 1 + AHEAD])
    if token in ahead:
        return list(rest[2 + ahead.index(token) :])
    mark = not any(letter.isalnum() for letter in decode([token]))
    if mark and rest and any(letter.isalnum() for letter in decode(rest[:1])):
        return list(rest)
    if len(rest) > 1:
        return list(rest[1:])
    return _as_before(sure)


def _as_before(sure: Sequence[int]) -> list[int]:
    """Return what followed the last two of `sure` when they came before; networks that were cut too far repeat."""
    for place in range(len(sure) - 2, 1, -1):
        if list(sure[place - 2 : place]) == list(sure[-2:]):
            return list(sure[place : place + LOOP])
    return []
