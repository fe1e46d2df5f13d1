"""A whole job on a folder of transformers: the same description, stages and evidence as for our own models."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import shrinkml
from agents.pipeline.folder.language import with_language
from agents.pipeline.folder.run_folder import RunFolder
from agents.pipeline.job_run import run_job
from agents.pipeline.materials import Materials
from agents.pipeline.stages.preparation.validate_stage import validate as validate_job
from shrinkml.errors import AudioError, ConfigError, ManifestError
from shrinkml.job import parse_job
from shrinkml.models.heads import transcript_head
from shrinkml.report import to_json
from shrinkml.speech.audio import write_flac
from shrinkml.speech.manifest import Utterance, read_manifest, write_manifest
from shrinkml.storage.checkpoint import inspect, save, stored_parameters
from shrinkml.storage.model_folder import digest_of
from shrinkml.training.dataset import load_dataset


@pytest.fixture
def long_dev(tmp_path):
    """A manifest of two utterances of 2 s and 2.5 s."""
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000)
    for name, samples in (("fits", 32_000), ("long", 40_000)):
        write_flac(tmp_path / f"{name}.flac", noise[-samples:], 16_000)
    utterances = [Utterance(tmp_path / "fits.flac", 2.0, "off"), Utterance(tmp_path / "long.flac", 2.5, "on")]
    write_manifest(tmp_path / "dev.jsonl", utterances)
    return tmp_path / "dev.jsonl"


@pytest.fixture
def validate(tiny_data, tmp_path):
    """The pre-flight report of a job with a model and a manifest."""

    def run(model, dev):
        data = {"dev": str(dev), "test": str(tiny_data["test"])}
        job = parse_job({"model": str(model), "data": data, "goal": {"compression_ratio": 1.1, "max_wer_increase": 1}})
        return validate_job(Materials(job.model, job.data, seed=0, should_stop=lambda: False), job)

    return run


def said(text, manifest):
    """`manifest`, the transcript of its last utterance `text`."""
    *others, last = read_manifest(manifest)
    write_manifest(manifest, [*others, dataclasses.replace(last, text=text)])
    return manifest


def test_what_a_model_cannot_hear_or_write_is_refused_before_any_work(stock_dir, long_dev, validate):
    message = (
        r"2 problems in the data:\n"
        r"  \S+/long\.flac lasts 2\.5 s; this model hears at most 2 s at once: cut it where nobody speaks\n"
        r"  \S+/long\.flac has a transcript of 79 tokens; this model writes at most 78: cut it where nobody speaks$"
    )
    with pytest.raises(ManifestError, match=message):
        validate(stock_dir("whisper"), said("o" * 79, long_dev))
    assert validate(stock_dir("wav2vec2"), long_dev).utterances["dev"] == 2


def test_the_longest_transcript_that_is_not_refused_can_be_learnt(stock_dir, waveforms):
    model = shrinkml.load(stock_dir("whisper"))
    longest = "o" * model.room
    assert model.misfit(longest) is None
    output = model.teacher_forced([model.features(waveforms[0])], [longest])
    assert transcript_head(output).logits.shape[1] == model.network.config.max_target_positions
    with pytest.raises(IndexError):
        model.teacher_forced([model.features(waveforms[0])], [f"{longest}o"])


def test_letters_that_only_the_tokenizer_knows_are_refused(stock_dir, long_dev, validate, tmp_path):
    folder = shutil.copytree(stock_dir("wav2vec2"), tmp_path / "model")
    letters = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps({**letters, "Ä": len(letters)}))
    assert validate(folder, long_dev).utterances["dev"] == 2
    with pytest.raises(
        ManifestError, match=r"long\.flac has a transcript with 'Ä', for which this model has no output"
    ):
        validate(folder, said("äon", long_dev))


def test_a_whisper_that_looks_for_the_language_is_refused(stock_dir, tiny_data, validate):
    with pytest.raises(ConfigError, match=r"name one in the job \(language: en\), or in the model's generation_config"):
        validate(stock_dir("whisper-multilingual"), tiny_data["dev"])


def test_a_job_tells_a_whisper_its_language_and_leaves_the_model_alone(stock_dir, tiny_data, validate, tmp_path):
    model = stock_dir("whisper-multilingual")
    before = digest_of(sorted(model.iterdir()))
    told = Path(with_language(RunFolder(tmp_path), str(model), "en"))
    assert with_language(RunFolder(tmp_path), str(model), "en") == str(told), "a resumed job finds it"
    assert validate(told, tiny_data["dev"]).utterances["dev"] == 24
    save(shrinkml.load(told), tmp_path / "checkpoint")
    assert [len(choices) for choices in shrinkml.load(tmp_path / "checkpoint").prompt] == [1, 1, 1, 1]
    assert digest_of(sorted(model.iterdir())) == before


def test_an_utterance_that_is_not_heard_is_named(stock_dir, long_dev):
    utterances = [Utterance(long_dev.with_name("long.flac"), 2.5, "on")]
    with pytest.raises(AudioError, match=r"long\.flac: 2\.5 s of audio; this model hears at most 2 s at once"):
        load_dataset(shrinkml.load(stock_dir("whisper")), utterances)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["whisper", "wav2vec2"])
def test_a_job_compresses_a_folder_of_transformers(kind, stock_dir, tiny_data, tmp_path):
    job = {
        "model": str(stock_dir(kind)),
        "data": {split: str(path) for split, path in tiny_data.items()} | {"proxy_utterances": 6},
        "goal": {"compression_ratio": 1.5, "max_wer_increase": 1.0},
        "steps": [1.5],
        "search": {"strategy": "random", "evaluations": 2, "seeds": 1, "baselines": ["greedy"]},
        "finetune": {"epochs": 1, "batch_size": 12},
        "factorizer": "whitened",
        "executor": "local",
        "quantize": "int8",
        "export": ["onnx", "transformers"],
    }
    report = to_json(run_job(parse_job(job), tmp_path))
    (preflight,) = tmp_path.glob("stages/validate/result.json")
    found = json.loads(preflight.read_text())
    names = [name for name, _ in shrinkml.load(stock_dir(kind)).named_parameters(remove_duplicate=False)]
    assert sorted([*found["factorized"], *found["left_alone"], *found["tied"]]) == sorted(names)
    assert "low rank as it is" in found["exports"]["onnx"]
    assert "low rank multiplied out" in found["exports"]["transformers"]
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


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_drops_modules_of_a_whisper(stock_dir, tiny_data, tmp_path):
    job = {
        "model": str(stock_dir("whisper")),
        "data": {split: str(path) for split, path in tiny_data.items()} | {"proxy_utterances": 6},
        "goal": {"compression_ratio": 1.4, "max_wer_increase": 1.0},
        "steps": [1.1, 1.4],
        "levers": ["drop"],
        "search": {"strategy": "random", "evaluations": 3, "seeds": 1, "baselines": ["divergence"]},
        "finetune": {"epochs": 1, "batch_size": 12},
        "executor": "local",
        "export": ["onnx", "transformers"],
    }
    report = to_json(run_job(parse_job(job), tmp_path))
    found = json.loads((tmp_path / "stages" / "validate" / "result.json").read_text())
    assert len(found["droppable"]) == 5
    assert "network.model.encoder.conv1.weight" in found["undroppable"]
    final = tmp_path / "checkpoints" / "final"
    dropped = [name for name, choice in inspect(final).plan if choice.dropped]
    assert report["dropped"] == dropped != []
    assert [row["lever"] for row in report["levers"]] == ["drop"]
    assert abs(report["levers"][0]["bytes"] - inspect(final).stored_bytes) < 0.01 * inspect(final).stored_bytes + 4096
    assert stored_parameters(final) <= report["baseline"]["parameters"] / 1.4
    assert stored_parameters(tmp_path / "checkpoints" / "final-dense") == report["baseline"]["parameters"]
    (exported,) = report["exports"]
    assert exported["same_transcripts"] == exported["n_utterances"]
    assert exported["largest_difference"] < 1e-3
