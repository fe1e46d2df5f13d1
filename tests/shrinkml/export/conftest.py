"""The tiny recogniser, dense and low rank, and a hundred utterances."""

from pathlib import Path

import numpy as np
import pytest

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import save


@pytest.fixture(scope="session")
def spoken(tiny_data: dict[str, Path]) -> list[tuple[np.ndarray, str]]:
    """Waveform and reference of all 96 utterances, and of four that are made of four each."""
    utterances = [u for split in ("train", "dev", "test") for u in read_manifest(tiny_data[split])]
    heard = [(read_audio(u.audio, 16_000), u.text) for u in utterances]
    several = [heard[start : start + 4] for start in (0, 30, 60, 90)]
    return heard + [(np.concatenate([w for w, _ in four]), " ".join(t for _, t in four)) for four in several]


@pytest.fixture(scope="session", params=["dense", "low_rank", "mixed"])
def checkpoint(request: pytest.FixtureRequest, tiny_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with no, with all, and with every second of its matrices factorized."""
    if request.param == "dense":
        return tiny_model_dir
    model = shrinkml.load(tiny_model_dir)
    layers = find_layers(model)[:: 1 if request.param == "low_rank" else 2]
    plan = CompressionPlan.of_ranks({layer.name: layer.break_even_rank for layer in layers})
    folder = tmp_path_factory.mktemp("factorized") / request.param
    save(factorize(model, plan, decompose(model, "svd", {})), folder, dtype="float16")
    return folder
