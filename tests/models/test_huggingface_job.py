"""A whole job on a folder of transformers: the same description, stages and evidence as for our own models."""

import json

import numpy as np
import pytest

import shrinkml
from agents import stages
from agents.materials import Materials
from agents.pipeline import run_job
from shrinkml.checkpoint import inspect, stored_parameters
from shrinkml.dataset import load_dataset
from shrinkml.errors import AudioError, ManifestError
from shrinkml.job import parse_job
from shrinkml.speech.audio import write_flac
from shrinkml.speech.manifest import Utterance, write_manifest


@pytest.fixture
def long_dev(tmp_path):
    """A manifest of two utterances of 2 s and 2.5 s."""
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000)
    for name, samples in (("fits", 32_000), ("long", 40_000)):
        write_flac(tmp_path / f"{name}.flac", noise[-samples:], 16_000)
    utterances = [Utterance(tmp_path / "fits.flac", 2.0, "off"), Utterance(tmp_path / "long.flac", 2.5, "on")]
    write_manifest(tmp_path / "dev.jsonl", utterances)
    return tmp_path / "dev.jsonl"


def test_utterances_longer_than_the_window_are_refused_before_any_work(stock_dir, tiny_data, long_dev):
    def validate(kind):
        data = {"dev": str(long_dev), "test": str(tiny_data["test"])}
        goal = {"compression_ratio": 1.1, "max_wer_increase": 1.0}
        job = parse_job({"model": str(stock_dir(kind)), "data": data, "goal": goal})
        return stages.validate(Materials(job.model, job.data, seed=0, should_stop=lambda: False), job)

    message = (
        r"1 problem in the data:\n  \S+/long\.flac lasts 2\.5 s; this model hears at most 2 s at once: cut it where"
    )
    with pytest.raises(ManifestError, match=message):
        validate("whisper")
    assert validate("wav2vec2")["utterances"]["dev"] == 2


def test_an_utterance_that_is_not_heard_is_named(stock_dir, long_dev):
    utterances = [Utterance(long_dev.with_name("long.flac"), 2.5, "on")]
    with pytest.raises(AudioError, match=r"long\.flac: 2\.5 s of audio; this model hears at most 2 s at once"):
        load_dataset(shrinkml.load(stock_dir("whisper")), utterances)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["whisper", "wav2vec2"])
def test_a_job_compresses_a_folder_of_transformers(kind, stock_dir, tiny_data, tmp_path, monkeypatch):
    job = {
        "model": str(stock_dir(kind)),
        "data": {split: str(path) for split, path in tiny_data.items()} | {"proxy_utterances": 6},
        "goal": {"compression_ratio": 1.5, "max_wer_increase": 1.0},
        "stages": [1.5],
        "search": {"strategy": "random", "evaluations": 2, "seeds": 1, "baselines": ["greedy"]},
        "finetune": {"epochs": 1, "batch_size": 12},
        "factorizer": "whitened",
        "executor": "local",
        "quantize": "int8",
        "export": ["onnx", "transformers"],
    }
    monkeypatch.setattr("agents.stages.TIMED_RUNS", 1)
    report = run_job(parse_job(job), tmp_path)
    (preflight,) = tmp_path.glob("stages/*validate/result.json")
    found = json.loads(preflight.read_text())
    names = [name for name, _ in shrinkml.load(stock_dir(kind)).named_parameters(remove_duplicate=False)]
    assert sorted([*found["factorized"], *found["left_alone"], *found["tied"]]) == sorted(names)
    final = tmp_path / "checkpoints" / "final"
    assert inspect(final).family == "huggingface"
    assert inspect(final).provenance["compressed_from"] == inspect(stock_dir(kind)).digest
    assert stored_parameters(final) <= report["baseline"]["parameters"] / 1.5
    dense = tmp_path / "checkpoints" / "final-dense"
    assert stored_parameters(dense) == report["baseline"]["parameters"]
    assert "This copy saves nothing" in (dense / "README.md").read_text()
    exported, in_int8 = report["exports"]
    assert exported["largest_difference"] < 1e-3
    assert exported["same_transcripts"] == exported["n_utterances"] == in_int8["n_utterances"]
