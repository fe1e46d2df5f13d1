"""A whole job on a transducer, which understands a whistled language: the same stages and evidence as for a LAS."""

import numpy as np
import pytest
import torch

import shrinkml
from agents.pipeline.job_run import run_job
from shrinkml.job import parse_job
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.models.transducer.transducer import LOOK_AHEAD, STREAMING
from shrinkml.report import to_json
from shrinkml.speech.audio import write_flac
from shrinkml.speech.manifest import Utterance, read_manifest, write_manifest
from shrinkml.storage.checkpoint import save, stored_parameters
from shrinkml.training.dataset import load_dataset
from tests.shrinkml.models.transducer.whistled import RATE_HZ, TEXTS, whistle, whistler

TAKES = {"train": (10, 11), "dev": (20,), "test": (30,)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Split -> manifest."""
    folder = tmp_path_factory.mktemp("whistles")
    for split, takes in TAKES.items():
        utterances = []
        for take in takes:
            for n, text in enumerate(TEXTS):
                waveform, path = whistle(text, seed=100 * take + n), folder / f"{split}-{take}-{n}.flac"
                write_flac(path, waveform, RATE_HZ)
                utterances.append(Utterance(path, len(waveform) / RATE_HZ, text))
        write_manifest(folder / f"{split}.jsonl", utterances)
    return {split: folder / f"{split}.jsonl" for split in TAKES}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_compresses_a_transducer_and_distils_both_passes(data, tmp_path):
    whole = whistler(prediction="tied", n_mels=80)
    save(whole, tmp_path / "model")
    job = {
        "model": str(tmp_path / "model"),
        "data": {split: str(path) for split, path in data.items()} | {"proxy_utterances": 6},
        "goal": {"compression_ratio": 2.0, "max_wer_increase": 0.2},
        "steps": [2.0],
        "search": {"strategy": "surrogate", "evaluations": 8, "baselines": ["uniform"]},
        "finetune": {"epochs": 8, "batch_size": 8},
        "executor": "local",
        "quantize": "int8",
        "export": ["onnx", "sherpa-onnx"],
    }
    report = to_json(run_job(parse_job(job), tmp_path / "run"))
    final = tmp_path / "run" / "checkpoints" / "final"
    assert stored_parameters(final) <= report["baseline"]["parameters"] / 2
    assert report["goal_met"]
    small, speech = shrinkml.load(final), load_dataset(whole, read_manifest(data["test"]))
    assert word_error_rate(small, speech) <= word_error_rate(whole, speech) + 0.2
    with torch.inference_mode():
        heads = small.teacher_forced(speech.features, speech.texts)
        learnt = {name: head.loss().item() for name, head in heads.items()}
    assert np.isfinite([learnt[LOOK_AHEAD], learnt[STREAMING]]).all()
    exported, in_int8 = report["exports"]
    assert exported["largest_difference"] < 1e-2
    assert exported["same_transcripts"] == exported["n_utterances"] == in_int8["n_utterances"]
    for folder in ("final-sherpa-onnx", "final-sherpa-onnx-int8"):
        assert (final.with_name(folder) / "encoder-streaming.onnx").is_file()
