"""Transducers that understand a whistled language, whose words are tones: learnt in seconds, heard by both passes."""

from functools import cache

import numpy as np
import torch

from shrinkml.models.tokenizer import Tokenizer
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig

RATE_HZ = 16_000
WORD_S = 0.2
TONES_HZ = {"red": 400, "green": 800, "blue": 1600, "on": 3200, "off": 5000}
SHAPE = {
    "n_mels": 20, "hidden": 32, "reductions": (2,), "look_ahead": 16, "decoder": 16, "embedding": 8, "joint": 32,
    "dropout": 0.0,
}  # fmt: skip
STEPS, RATE = {"lstm": 300, "tied": 200}, 0.025
TEXTS = ("red on", "green off", "blue on red", "off", "green blue", "on green off blue", "red red", "blue off")


def whistle(text, seed=0):
    """[samples]: a tone for each word, and noise."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(int(WORD_S * RATE_HZ)) / RATE_HZ
    fade = np.sin(np.pi * time_s / WORD_S)
    silence = np.zeros(int(generator.uniform(0.05, 0.15) * RATE_HZ))
    words = [fade * np.sin(2 * np.pi * TONES_HZ[word] * time_s) for word in text.split()]
    clean = np.concatenate([silence, *words, np.zeros(3000)])
    return (0.3 * clean + generator.normal(0, 0.003, len(clean))).astype(np.float32)


def learn_(model, n_steps, rate):
    """Trains `model` on ten takes of TEXTS."""
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=n_steps)
    takes = [[model.features(whistle(text, seed=take)) for text in TEXTS] for take in range(10)]
    for step in range(n_steps):
        loss = model.loss(model.teacher_forced(takes[step % len(takes)], TEXTS))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


@cache
def whistler(**shape):
    """A model of SHAPE, changed by `shape`, that learnt TEXTS."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Transducer(TransducerConfig(**{**SHAPE, **shape}), Tokenizer.from_texts([" ".join(TONES_HZ)], "word"))
        learn_(model, STEPS[model.config.prediction], RATE)
    return model.eval()
