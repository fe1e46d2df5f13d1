"""The `commands` task: home commands in synthetic speech, made on the spot.

No sentence and no voice variant stands in two splits: the test set is new sentences from unseen voices.
"""

import hashlib
from pathlib import Path

import numpy as np

from shrinkml.speech.corpora.espeak import Voice
from shrinkml.speech.corpora.grammar import draw_sentence
from shrinkml.speech.corpora.prepared import SPLITS, prepare_once
from shrinkml.speech.corpora.synthesis import Noise, Take, synthesise
from shrinkml.speech.manifest import Utterance, write_manifest

VERSION = 3  # of all that decides what is said, by whom and in which noise; another version draws everything anew
ACCENTS = (
    "en-us", "en-us-nyc", "en", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029",
)  # fmt: skip
# eSpeak's variants without the robotic and joke ones; those that share their formants stand in one split.
VARIANTS = {
    "train": (
        "m1", "m2", "m4", "m6", "m8", "f1", "f3", "f4", "Alex", "Alicia", "Andy", "Annie", "AnxiousAndy", "Gene",
        "Marco", "Mario", "Michael", "Storm", "adam", "anika", "antonio", "belinda", "benjamin", "boris", "ed",
        "edward", "gustave", "ian", "iven2", "john", "kaukovalta", "klatt2", "klatt4", "linda", "marcelo", "max",
        "mike2", "norbert", "pablo", "paul", "sandro", "steph", "travis", "victor",
    ),
    "dev": ("m5", "Andrea", "Denis", "Jacky", "david", "pedro", "quincy", "shelby"),
    "test": ("m3", "m7", "f5", "caleb", "grandma", "grandpa", "Hugo", "robert"),
}  # fmt: skip
NOISES: tuple[Noise, ...] = ("none", "white", "pink", "babble")
TRAIN_SHARE, DEV_SHARE = 0.7, 0.1  # of all sentences; the rest are for test


def prepare(folder: Path, *, seed: int = 0, train: int = 16_000, dev: int = 1000, test: int = 1000) -> dict[str, Path]:
    """Split -> manifest of the commands task in `folder`, synthesised unless it is there already.

    Args:
        folder: where manifests and audio (FLAC, 16 kHz) go.
        seed: of sentences, voices and noise; the same seed gives the same samples.
        train: utterances.
        dev: utterances.
        test: utterances.

    Raises:
        AudioError: eSpeak NG failed.
        ManifestError: `folder` holds something else.
    """
    sizes = {"train": train, "dev": dev, "test": test}

    def write(fresh: Path) -> None:
        takes = {split: _takes(split, n, seed) for split, n in sizes.items()}
        durations = iter(synthesise([take for split in takes.values() for take in split], fresh))
        for split, chosen in takes.items():
            utterances = [Utterance(fresh / t.path, next(durations), t.text, t.voice.name, "en") for t in chosen]
            write_manifest(fresh / f"{split}.jsonl", utterances)

    return prepare_once(folder, {"task": "commands", "version": VERSION, "seed": seed, **sizes}, write)


def split_of(sentence: str) -> str:
    """The one split that `sentence` may stand in: a fixed share of all sentences, told by their hash."""
    position = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:4]) / 2**32
    if position < TRAIN_SHARE:
        return "train"
    return "dev" if position < TRAIN_SHARE + DEV_SHARE else "test"


def _takes(split: str, n: int, seed: int) -> list[Take]:
    generator = np.random.default_rng([VERSION, seed, SPLITS.index(split)])
    return [_take(split, i, generator) for i in range(n)]


def _take(split: str, index: int, generator: np.random.Generator) -> Take:
    sentence = draw_sentence(generator)
    while split_of(sentence) != split:
        sentence = draw_sentence(generator)
    voice = Voice(
        name=f"{generator.choice(ACCENTS)}+{generator.choice(VARIANTS[split])}",
        rate_wpm=int(generator.integers(120, 221)),
        pitch=int(generator.integers(35, 66)),
        pitch_range=int(generator.integers(30, 71)),
    )
    return Take(
        path=f"{split}/{index:05d}.flac",
        text=sentence,
        voice=voice,
        level_dbfs=float(generator.uniform(-32, -16)),
        noise=NOISES[generator.integers(len(NOISES))],
        snr_db=float(generator.uniform(10, 40)),
        before_s=float(generator.uniform(0.05, 0.3)),
        after_s=float(generator.uniform(0.05, 0.3)),
        seed=int(generator.integers(2**32)),
    )
