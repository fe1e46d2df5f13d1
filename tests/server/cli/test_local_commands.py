"""Commands without a server, on the tiny recogniser."""

import json
import os
import signal
import subprocess
import sys

import pytest
import yaml

from shrinkml.errors import StoppedError
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import stored_parameters


@pytest.fixture
def config(tmp_path, tiny_model_dir, tiny_data):
    """A job of a few seconds."""
    job = {
        "name": "quick",
        "model": str(tiny_model_dir),
        "data": {"dev": str(tiny_data["dev"]), "test": str(tiny_data["test"]), "proxy_utterances": 6},
        "goal": {"compression_ratio": 1.5, "max_wer_increase": 1.0},
        "steps": [1.5],
        "search": {"strategy": "random", "evaluations": 3, "baselines": []},
        "executor": "local",
    }
    path = tmp_path / "quick.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def test_compress_leaves_a_run_that_report_prints(shrinkml, config, tmp_path):
    run = shrinkml("compress", config, "--out", tmp_path / "run")
    assert run.code == 0, run.err
    assert "Goal met" in run.out
    assert "search-1.5x finished" in run.err
    assert (tmp_path / "run" / "checkpoints" / "final" / "config.json").is_file()
    assert shrinkml("report", tmp_path / "run").out in run.out
    again = shrinkml("compress", config, "--out", tmp_path / "run", "--json")
    assert json.loads(again.out) == json.loads(shrinkml("report", tmp_path / "run", "--json").out)


def test_compress_says_that_a_goal_was_missed_and_exits_with_1(shrinkml, config, tmp_path):
    job = yaml.safe_load(config.read_text())
    hard = {"goal": {"compression_ratio": 16.0, "max_wer_increase": 0.0}, "steps": [16.0]}  # with no training set
    config.write_text(yaml.safe_dump({**job, **hard}))
    run = shrinkml("compress", config, "--out", tmp_path / "run")
    assert run.code == 1
    assert "Goal missed: " in run.out.splitlines()[0]  # behind what may be said of its speed
    assert "short of 16 times" in run.out


def test_ctrl_c_stops_compress_and_the_same_command_goes_on(config, tmp_path):
    job = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**job, "search": {**job["search"], "evaluations": 40}}))
    command = [sys.executable, "-m", "server.cli.main", "compress", str(config), "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        said = iter(process.stderr.readline, "")
        assert any("calibrate-1.5x finished" in line for line in said)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    assert "The same command goes on from there" in rest
    assert "Traceback" not in rest
    assert (tmp_path / "run" / "stages").is_dir()


def test_compress_refuses_a_broken_job_with_status_2(shrinkml, config):
    config.write_text("model: 1")
    code, _, err = shrinkml("compress", config)
    assert code == 2
    assert err.startswith(f"error: {config} is no valid job:")
    assert "goal: Field required" in err


def test_transcribe_prints_what_is_heard(shrinkml, tiny_model_dir, tiny_data):
    first, second = [str(utterance.audio) for utterance in read_manifest(tiny_data["dev"])[:2]]
    one = shrinkml("transcribe", tiny_model_dir, first).out.strip()
    both = shrinkml("transcribe", tiny_model_dir, first, second).out.splitlines()
    assert both[0] == f"{first}: {one}"
    rows = [
        json.loads(line) for line in shrinkml("transcribe", tiny_model_dir, first, second, "--json").out.splitlines()
    ]
    assert rows[0] == {"audio": first, "text": one}


def test_transcribe_refuses_what_is_no_audio(shrinkml, tiny_model_dir, tmp_path):
    (tmp_path / "noise.wav").write_text("no audio")
    code, _, err = shrinkml("transcribe", tiny_model_dir, tmp_path / "noise.wav")
    assert (code, err.startswith("error: ")) == (2, True)


def test_evaluate_measures_the_word_error_rate(shrinkml, tiny_model_dir, tiny_data):
    result = json.loads(shrinkml("evaluate", tiny_model_dir, tiny_data["test"], "--json").out)
    assert result["n_utterances"] == 24
    shown = shrinkml("evaluate", tiny_model_dir, tiny_data["test"]).out
    assert f"{result['wer']:.2%}" in shown
    assert f"{result['parameters']:,} parameters" in shown


def test_evaluate_writes_every_utterance_and_counts_by_the_normaliser(shrinkml, tiny_model_dir, tiny_data, tmp_path):
    out, options = tmp_path / "new" / "rows.jsonl", ("--normaliser", "none", "--json")
    found = json.loads(shrinkml("evaluate", tiny_model_dir, tiny_data["test"], "--out", out, *options).out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (found["normaliser"], found["formatted_wer"]) == ("none/1", None)
    assert [row["reference"] for row in rows] == [u.text for u in read_manifest(tiny_data["test"])]
    assert sum(row["substitutions"] for row in rows) == found["substitutions"]


def test_evaluate_refuses_an_unknown_normaliser(shrinkml, tiny_model_dir, tiny_data):
    code, _, err = shrinkml("evaluate", tiny_model_dir, tiny_data["test"], "--normaliser", "whisper")
    assert code == 2
    assert "no normaliser named 'whisper'; known: none, shrinkml-basic" in err


def test_evaluate_in_int8_counts_the_same_weights_and_says_where_nothing_gains(shrinkml, tiny_model_dir, tiny_data):
    plain, int8 = (
        json.loads(shrinkml("evaluate", "reference/whisper", tiny_data["test"], "--json", *options).out)
        for options in ((), ("--int8",))
    )
    assert (plain["int8"], int8["int8"]) == (False, True)
    assert plain["parameters"] == int8["parameters"] == stored_parameters("reference/whisper")
    code, _, err = shrinkml("evaluate", tiny_model_dir, tiny_data["test"], "--int8")
    assert code == 2
    assert "nothing in the model would gain by int8" in err


def test_evaluate_refuses_a_folder_that_is_no_model(shrinkml, tmp_path, tiny_data):
    code, _, err = shrinkml("evaluate", tmp_path, tiny_data["test"])
    assert (code, err.startswith("error: ")) == (2, True)


def test_report_without_a_run_says_so(shrinkml, tmp_path):
    code, _, err = shrinkml("report", tmp_path)
    assert (code, "a run writes report.json when it has ended" in err) == (2, True)


def test_compress_that_was_stopped_names_the_folder_of_the_best(shrinkml, config, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise StoppedError("stopped; the best so far is the checkpoint 'best-so-far'", best="best-so-far")

    monkeypatch.setattr("agents.pipeline.job_run.run_job", stop)
    code, _, err = shrinkml("compress", config, "--out", tmp_path / "run")
    assert code == 130
    assert err.splitlines()[-1] == f"Best so far: {tmp_path / 'run' / 'checkpoints' / 'best-so-far'}"
