"""A whole job on a folder of transformers: the same description, stages and evidence as for our own models."""

import json

import pytest

import shrinkml
from agents.pipeline import run_job
from shrinkml.checkpoint import inspect, stored_parameters
from shrinkml.job import parse_job


@pytest.mark.slow
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
        "export": ["onnx"],
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
    exported, in_int8 = report["exports"]
    assert exported["largest_difference"] < 1e-3
    assert exported["same_transcripts"] == exported["n_utterances"] == in_int8["n_utterances"]
