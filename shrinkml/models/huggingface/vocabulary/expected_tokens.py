"""The tokens that an encoder-decoder expects: the mean of its probabilities where it is fed some texts.

How common a token is in speech is not told by the order of a tokenizer's merges, which were counted on other text. The
model knows it: its decoder is a language model of what people say. Asking it is ours.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq

MOST_TEXTS = 256  # that are fed, evenly from all: more change little
BATCH_SIZE = 16
SILENCE_S = 1.0  # a Whisper hears more of it, up to its window's end


@torch.inference_mode()
def expected_tokens(model: HuggingFaceSeq2Seq, texts: Sequence[str]) -> Tensor:
    """The mean probability [tokens] of each token over all places in `texts`, where nothing is heard.

    Zeros where no text can be fed.

    Args:
        model: where it looks for the language, it is told the first that it knows.
        texts: at most MOST_TEXTS of them are fed.
    """
    written = (model.text.encode(text) for text in dict.fromkeys(texts))
    fed = [tokens for tokens in written if 0 < len(tokens) <= model.room and max(tokens) < model.n_outputs]
    some = sorted(fed[:: -(-len(fed) // MOST_TEXTS)], key=len) if fed else []
    total, n_places = torch.zeros(model.n_outputs, dtype=torch.float64), 0
    learning = model.training
    model.eval()
    states = _states_of_silence(model)
    for start in range(0, len(some), BATCH_SIZE):
        batch = some[start : start + BATCH_SIZE]
        total += _summed(model, states, batch).cpu()
        n_places += sum(len(tokens) + 1 for tokens in batch)
    model.train(learning)
    return total / max(1, n_places)


def _states_of_silence(model: HuggingFaceSeq2Seq) -> Tensor:
    """States [1, positions, hidden] of the encoder."""
    silence = model.features(np.zeros(int(SILENCE_S * model.sample_rate_hz), dtype=np.float32))
    heard = model.inputs([silence])[model.speech.main_input]
    states: Tensor = model.network.get_encoder()(heard).last_hidden_state
    return states


def _summed(model: HuggingFaceSeq2Seq, states: Tensor, texts: Sequence[Sequence[int]]) -> Tensor:
    """Probabilities [tokens] summed over the places of `texts`, which are tokens, and their ends."""
    from transformers.modeling_outputs import BaseModelOutput

    prompt = [choices[0] for choices in model.prompt]
    rows = [torch.tensor([*prompt, *tokens]) for tokens in texts]
    fed = pad_sequence(rows, batch_first=True, padding_value=model.end).to(states.device)
    heard = BaseModelOutput(states.expand(len(rows), -1, -1))
    logits = model.network(encoder_outputs=heard, decoder_input_ids=fed, use_cache=False).logits
    written = zip(logits, rows, strict=True)
    return sum(
        (scores[len(prompt) - 1 : len(row)].float().softmax(-1).double().sum(0) for scores, row in written),
        start=torch.zeros(model.n_outputs, dtype=torch.float64, device=states.device),
    )
