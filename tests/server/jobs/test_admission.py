import json
import shutil

import numpy as np
import pytest

from agents.strategies.model_based.kept_policy import SHAPES, write_policy
from server.jobs.admission import admit
from server.service_errors import ForbiddenPathError
from shrinkml.errors import CheckpointError, ConfigError, ManifestError, UnknownNameError
from shrinkml.job import parse_job
from shrinkml.speech.manifest import Utterance, write_manifest


def test_a_sound_job_is_admitted_with_absolute_paths(request_body, data_folder):
    job = admit(parse_job(request_body), [data_folder])
    assert job.data.train == str(data_folder / "train.jsonl")
    assert admit(job, [data_folder]) == job


def test_a_second_data_root_can_be_named_absolutely(request_body, data_folder, tmp_path):
    body = {**request_body, "model": str(data_folder / "model")}
    body["data"] = {split: str(data_folder / path) for split, path in request_body["data"].items()}
    assert admit(parse_job(body), [tmp_path, data_folder]).model == str(data_folder / "model")
    with pytest.raises(ForbiddenPathError, match=r"model: .* lies outside the folders that this server may read"):
        admit(parse_job(body), [tmp_path])


def test_a_model_of_the_hub_is_admitted_where_the_operator_allows_it(request_body, data_folder):
    job = parse_job({**request_body, "model": "hf:openai/whisper-tiny"})
    assert admit(job, [data_folder], allow_hub=True).model == "hf:openai/whisper-tiny"
    with pytest.raises(ConfigError, match=r"nothing is fetched here. The operator allows it with --allow-hub"):
        admit(job, [data_folder])


def test_a_manifest_that_leads_out_of_the_data_roots_is_refused(request_body, data_folder, tmp_path):
    outside = tmp_path / "outside.wav"
    shutil.copy(data_folder / "dev0.wav", outside)
    write_manifest(data_folder / "outside.jsonl", [Utterance(outside, 0.5, "turn on the light")])
    body = {**request_body, "data": {"dev": "outside.jsonl", "test": "test.jsonl"}}
    with pytest.raises(ForbiddenPathError, match=r"data.dev: .*outside.wav lies outside the folders"):
        admit(parse_job(body), [data_folder])


def test_a_policy_is_read_before_the_job_is_queued(request_body, data_folder, tmp_path):
    kept = data_folder / "policy.json"
    body = {**request_body, "search": {"strategy": "dyna", "policy": "policy.json"}}
    with pytest.raises(ConfigError, match=r"search.policy: .*policy.json cannot be read \(No such file"):
        admit(parse_job(body), [data_folder])
    write_policy({name: np.zeros(shape).tolist() for name, shape in SHAPES.items()}, kept)
    assert admit(parse_job(body), [data_folder]).search.policy == str(kept)
    outside = shutil.copy(kept, tmp_path)
    kept.unlink()
    with pytest.raises(ForbiddenPathError, match=r"search.policy: .* lies outside the folders"):
        admit(parse_job({**body, "search": {"strategy": "dyna", "policy": str(outside)}}), [data_folder])


def test_texts_of_a_vocabulary_are_read_before_the_job_is_queued(request_body, data_folder, tmp_path):
    body = {**request_body, "vocabulary": "auto", "vocabulary_texts": "words.txt"}
    with pytest.raises(ConfigError, match=r"words\.txt cannot be read as texts"):
        admit(parse_job(body), [data_folder])
    (data_folder / "words.txt").write_text("turn on the light")
    assert admit(parse_job(body), [data_folder]).vocabulary_texts == str(data_folder / "words.txt")
    outside = shutil.move(data_folder / "words.txt", tmp_path)
    with pytest.raises(ForbiddenPathError, match=r"vocabulary_texts: .* lies outside the folders"):
        admit(parse_job({**body, "vocabulary_texts": str(outside)}), [data_folder])


@pytest.mark.parametrize("link", ["model.safetensors", "more/notes.txt", "more"])
def test_a_model_whose_files_lie_outside_the_data_roots_is_refused(request_body, data_folder, tmp_path, link):
    root = tmp_path / "root"
    shutil.copytree(data_folder, root)
    (root / "model" / link).parent.mkdir(exist_ok=True)
    (root / "model" / link).unlink(missing_ok=True)
    (root / "model" / link).symlink_to(data_folder / "model" / "model.safetensors")
    with pytest.raises(ForbiddenPathError, match=rf"model: .*{link} lies outside the folders"):
        admit(parse_job(request_body), [root])
    assert admit(parse_job(request_body), [root, data_folder])


def test_a_loop_of_links_is_no_file(request_body, data_folder, tmp_path):
    loop, roots = tmp_path / "loop", [data_folder, tmp_path]
    loop.symlink_to(loop)
    with pytest.raises(CheckpointError, match="no model"):
        admit(parse_job({**request_body, "model": str(loop)}), roots)
    with pytest.raises(ManifestError):
        admit(parse_job({**request_body, "data": {"dev": str(loop), "test": "test.jsonl"}}), roots)


@pytest.mark.parametrize("content", [None, b"no audio"], ids=["missing", "there"])
def test_a_manifest_does_not_tell_what_lies_outside_the_data_roots(request_body, data_folder, tmp_path, content):
    outside = tmp_path / "outside.wav"
    if content is not None:
        outside.write_bytes(content)
    line = {"audio_filepath": str(outside), "duration": 0.5, "text": "turn on the light"}
    (data_folder / "outside.jsonl").write_text(json.dumps(line))
    body = {**request_body, "data": {"dev": "outside.jsonl", "test": "test.jsonl"}}
    with pytest.raises(ForbiddenPathError, match=r"data.dev: .*outside.wav lies outside the folders"):
        admit(parse_job(body), [data_folder])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"search": {"strategy": "magic"}}, UnknownNameError, "search.strategy: no strategy named 'magic'"),
        (
            {"search": {"baselines": ["random", "magic"]}},
            UnknownNameError,
            "search.baselines.1: no strategy named 'magic'",
        ),
        ({"search": {"reward": "magic"}}, UnknownNameError, "search.reward: no reward named 'magic'"),
        ({"factorizer": "magic"}, UnknownNameError, "factorizer: no factorizer named 'magic'"),
        (
            {"factorizer": "magic", "search": {"reward": "more"}},
            UnknownNameError,
            "search.reward: no reward named 'more'.*\\n.*factorizer: no factorizer named 'magic'",
        ),
        ({"model": "train.jsonl"}, CheckpointError, "no model .*train.jsonl'"),
        ({"model": "reference/none"}, CheckpointError, "no model 'reference/none'.*a bundled one"),
        ({"data": {"dev": "dev.jsonl", "test": "dev.jsonl"}}, ManifestError, "dev"),
    ],
)
def test_a_job_that_cannot_work_is_refused(request_body, data_folder, change, error, message):
    with pytest.raises(error, match=message):
        admit(parse_job({**request_body, **change}), [data_folder])
