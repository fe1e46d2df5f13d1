"""Transformers that learnt a whistled language, whose words are tones, in seconds."""

from functools import cache

import torch

from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.models.transformer.transformer_shape import TransformerConfig
from tests.shrinkml.models.transducer.whistled import TEXTS, TONES_HZ, learn_, whistle

SHAPE = {
    "n_mels": 20, "hidden": 32, "heads": 2, "feed_forward": 64, "reductions": (2, 2), "encoder_layers": 2,
    "decoder_layers": 2, "dropout": 0.0, "ctc_weight": 0.5, "label_smoothing": 0.0,
}  # fmt: skip
KINDS = {  # by name: what differs from SHAPE
    "positions": {},
    "memory": {"memory": 5, "encoder_positions": False, "decoder_positions": False},
    "shared": {"encoder_layers": 4, "shared": ((0, 1), (2, 3))},
}
STEPS, RATE = 300, 5e-3
TOKENIZER = Tokenizer.from_texts([" ".join(TONES_HZ)], "word")


def untrained(**shape):
    """A model of SHAPE, changed by `shape`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Transformer(TransformerConfig(**{**SHAPE, **shape}), TOKENIZER).eval()


@cache
@torch.enable_grad()  # whoever asks first
def taught(kind):
    """A model of that kind, which learnt TEXTS."""
    model = untrained(**KINDS[kind]).train()
    learn_(model, STEPS, RATE)
    return model.eval()


def heard(model):
    """Features of each of TEXTS in a take that was learnt from: of these, models are sure on every processor."""
    return [model.features(whistle(text, seed=0)) for text in TEXTS]
