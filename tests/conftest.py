"""A recogniser so small that a test can compress it whole: twelve spoken commands of two words, a few voices."""

import gc
import itertools
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.speech.corpora.espeak import Voice
from shrinkml.speech.corpora.synthesis import Take, synthesise
from shrinkml.speech.manifest import Utterance, read_manifest, write_manifest
from shrinkml.storage.checkpoint import save
from shrinkml.training.dataset import load_dataset
from shrinkml.training.train import train
from tests.moments import time_moments
from tests.stock_models import stock_dir as stock_dir
from tests.stock_models import waveforms as waveforms
from tests.view_here import view_here

TEXTS = [f"{verb} {noun}" for verb in ("open", "start", "stop") for noun in ("door", "heating", "lights", "music")]
VOICES = {
    "train": ("en-us+m1", "en-us+m2", "en-us+f1", "en-us+f3"),
    "dev": ("en-us+m4", "en-us+f4"),
    "test": ("en-us+m3", "en-us+f2"),
}
SHAPE = LasConfig(n_mels=20, hidden=32, reductions=(2,), decoder=32, embedding=16, dropout=0.0, label_smoothing=0.0)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Torch on one thread: models of this size gain nothing from more, and the same seed gives the same weights."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Ctrl-C is heard by what tests start: a shell that runs them in the background has them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache for the tests: what the user's holds neither helps them nor is added to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def timed_for_moments() -> Iterator[None]:
    """Jobs in this process time little: see `time_moments`."""
    with pytest.MonkeyPatch.context() as patch:
        time_moments(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def viewed_here() -> Iterator[None]:
    """Jobs in this process verify their results in it: see `view_here`."""
    with pytest.MonkeyPatch.context() as patch:
        view_here(patch)
        yield


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Split -> manifest: 48, 24 and 24 utterances of the same twelve sentences in different voices."""
    folder = tmp_path_factory.mktemp("tiny-data")
    takes = {split: _takes(split) for split in VOICES}
    durations = iter(synthesise([take for split in takes.values() for take in split], folder))
    for split, chosen in takes.items():
        utterances = [Utterance(folder / t.path, next(durations), t.text, t.voice.name, "en") for t in chosen]
        write_manifest(folder / f"{split}.jsonl", utterances)
    return {split: folder / f"{split}.jsonl" for split in VOICES}


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory, tiny_data: dict[str, Path], one_thread: None) -> Path:
    """Checkpoint of a LAS with 72 thousand parameters, trained for seconds: about 20 % WER on dev."""
    folder = tmp_path_factory.mktemp("tiny-model") / "las"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Las(SHAPE, Tokenizer.from_texts(TEXTS, "word"))
    dataset = load_dataset(model, read_manifest(tiny_data["train"]))
    train(model, dataset, epochs=50, learning_rate=1e-2, batch_size=12, seed=0)
    save(model, folder, dtype="float16")
    spare_the_collector()  # training imports half of torch
    return folder


def pytest_collection_finish() -> None:
    spare_the_collector()


def spare_the_collector() -> None:
    """Have the garbage collector, which jobs run after every stage, pass over what is there now.

    The modules and the collected tests are 600,000 objects, which stay: looking at them took 0.4 s each time.
    """
    gc.collect()
    gc.freeze()


def _takes(split: str) -> list[Take]:
    return [
        Take(
            path=f"{split}/{index:02d}.flac",
            text=text,
            voice=Voice(voice, rate_wpm=200),
            level_dbfs=-20.0,
            noise="none",
            snr_db=30.0,
            before_s=0.05,
            after_s=0.05,
            seed=index,
        )
        for index, (voice, text) in enumerate(itertools.product(VOICES[split], TEXTS))
    ]
