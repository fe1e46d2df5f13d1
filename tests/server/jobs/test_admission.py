import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from agents.strategies.model_based.kept_policy import SHAPES, write_policy
from server.jobs import admission
from server.jobs.admission import admit, check_paths
from server.limits import Limits
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


def test_a_path_outside_is_refused_before_anything_is_looked_up_there(request_body, data_folder):
    began = time.process_time()
    with pytest.raises(ForbiddenPathError, match="model: / lies outside the folders"):
        admit(parse_job({**request_body, "model": "/"}), [data_folder])
    assert time.process_time() - began < 0.5, "a walk over the disk takes longer"


def test_a_folder_with_more_files_than_a_model_has_is_no_model(request_body, data_folder, tmp_path):
    shutil.copytree(data_folder / "model", tmp_path / "model")
    body, roots = {**request_body, "model": str(tmp_path / "model")}, [data_folder, tmp_path]
    assert admit(parse_job(body), roots, limits=Limits(model_files=3))
    (tmp_path / "model" / "more").mkdir()
    with pytest.raises(CheckpointError, match="holds more than 3 files and folders, which no model does"):
        admit(parse_job(body), roots, limits=Limits(model_files=3))


@pytest.mark.parametrize("field", ["data.dev", "data.test", "model", "search.policy", "vocabulary_texts"])
def test_a_pipe_is_refused_and_not_waited_for(request_body, data_folder, tmp_path, field):
    os.mkfifo(tmp_path / "pipe")
    body, pipe = json.loads(json.dumps(request_body)), str(tmp_path / "pipe")
    if field.startswith("data."):
        body["data"][field.removeprefix("data.")] = pipe
    elif field == "search.policy":
        body["search"] = {"strategy": "dyna", "policy": pipe}
    else:
        body |= {field: pipe, **({"vocabulary": "auto"} if field == "vocabulary_texts" else {})}
    with pytest.raises((ManifestError, CheckpointError, ConfigError), match=r"no regular file|no model"):
        admit(parse_job(body), [data_folder, tmp_path])


def test_a_refusal_does_not_tell_where_a_link_leads(request_body, data_folder, tmp_path):
    for field in ("model", "data"):
        link = data_folder / f"link-{field}"
        link.symlink_to(tmp_path / "secret-name")
        change = {"model": link.name} if field == "model" else {"data": {"dev": link.name, "test": "test.jsonl"}}
        with pytest.raises(ForbiddenPathError) as refusal:
            admit(parse_job({**request_body, **change}), [data_folder])
        link.unlink()
        assert link.name in str(refusal.value)
        assert "secret-name" not in str(refusal.value)


def test_a_process_of_the_system_is_no_model(request_body, data_folder):
    body = {**request_body, "model": "/proc/1/exe"}
    with pytest.raises(ForbiddenPathError, match=r"model: /proc/1/exe lies outside"):
        admit(parse_job(body), [data_folder])
    with pytest.raises((CheckpointError, ForbiddenPathError), match=r"/proc/1/exe"):  # as the system lets it be read
        admit(parse_job({**body, "data": {k: str(data_folder / f"{k}.jsonl") for k in ("dev", "test")}}), [Path("/")])


def test_a_manifest_takes_its_bytes_and_no_more(request_body, data_folder):
    n_bytes = max((data_folder / f"{split}.jsonl").stat().st_size for split in ("train", "dev", "test"))
    assert admit(parse_job(request_body), [data_folder], limits=Limits(manifest_bytes=n_bytes))
    with pytest.raises(ManifestError, match=f"{n_bytes} bytes, and at most {n_bytes - 1} are allowed"):
        admit(parse_job(request_body), [data_folder], limits=Limits(manifest_bytes=n_bytes - 1))


def test_a_file_of_texts_has_its_bytes_and_no_more(request_body, data_folder):
    (data_folder / "texts").write_text("open the door\n")
    body = {**request_body, "vocabulary": "auto", "vocabulary_texts": "texts"}
    assert admit(parse_job(body), [data_folder], limits=Limits(texts_bytes=14))
    with pytest.raises(ConfigError, match=r"texts cannot be read as texts: .*14 bytes, and at most 13 are allowed"):
        admit(parse_job(body), [data_folder], limits=Limits(texts_bytes=13))


@pytest.fixture
def long(data_folder, tmp_path):
    """A manifest of two sound lines, then one that names a file outside, then one that is no JSON."""
    outside = {"audio_filepath": str(tmp_path / "outside.wav"), "duration": 0.5, "text": "on"}
    path = data_folder / "long.jsonl"
    path.write_text((data_folder / "dev.jsonl").read_text() + json.dumps(outside) + "\nno json\n")
    yield path
    path.unlink()


def test_while_a_client_waits_only_the_first_lines_are_checked(request_body, data_folder, long):
    spec = parse_job({**request_body, "data": {"dev": "long.jsonl", "test": "test.jsonl"}})
    assert admit(spec, [data_folder], limits=Limits(lines_checked=2))
    with pytest.raises(ForbiddenPathError, match=r"data.dev: .*outside.wav"):
        admit(spec, [data_folder], limits=Limits(lines_checked=3))


def test_before_a_job_runs_every_line_is_checked_for_where_it_leads(request_body, data_folder, tmp_path, long):
    job = admit(
        parse_job({**request_body, "data": {"dev": "long.jsonl", "test": "test.jsonl"}}),
        [data_folder],
        limits=Limits(lines_checked=2),
    )
    with pytest.raises(ForbiddenPathError, match=r"data.dev: .*outside.wav lies outside"):
        check_paths(job, [data_folder])
    check_paths(job, [data_folder, tmp_path])
    with pytest.raises(ManifestError, match="at most 10 are allowed"):
        check_paths(job, [data_folder, tmp_path], limits=Limits(manifest_bytes=10))


def test_a_manifest_of_nothing_but_errors_is_told_in_few_words_and_little_time(request_body, data_folder):
    (data_folder / "empty-objects.jsonl").write_text("{}\n" * 350_000)
    spec = parse_job({**request_body, "data": {"dev": "empty-objects.jsonl", "test": "test.jsonl"}})
    began = time.process_time()
    with pytest.raises(ManifestError, match="and 180 more") as refusal:
        admit(spec, [data_folder])
    (data_folder / "empty-objects.jsonl").unlink()
    assert time.process_time() - began < 2.0
    assert len(str(refusal.value)) < 10_000


def test_many_wrong_names_are_counted(request_body, data_folder):
    with pytest.raises(UnknownNameError, match="and 44 more") as refusal:
        admit(parse_job({**request_body, "search": {"baselines": ["x" * 64] * 64}}), [data_folder])
    assert len(str(refusal.value)) < 20_000


def test_manifests_that_were_sound_are_looked_at_again_once_one_has_changed(request_body, data_folder, monkeypatch):
    looked = []
    check = admission.check_splits
    monkeypatch.setattr(admission, "check_splits", lambda *given, **options: looked.append(check(*given, **options)))
    manifest = data_folder / "changing.jsonl"
    shutil.copy(data_folder / "dev.jsonl", manifest)
    spec = parse_job({**request_body, "data": {"dev": "changing.jsonl", "test": "test.jsonl"}})
    for _ in range(3):
        admit(spec, [data_folder])
    assert len(looked) == 1
    admit(spec, [data_folder], limits=Limits(lines_checked=1))
    admit(spec, [data_folder, data_folder / "model"])
    assert len(looked) == 3, "other limits, or other folders"
    sound = manifest.read_text()
    manifest.write_text(sound.replace("0.5", "9.5"))
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"duration is 9\.5 s"):
            admit(spec, [data_folder])
    manifest.write_text(sound)
    admit(spec, [data_folder])
    assert len(looked) == 4
    manifest.unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        admit(spec, [data_folder])
