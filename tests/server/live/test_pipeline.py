"""The real pipeline behind the real server, on the tiny recogniser: killed, it ends as it would have."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.pipeline.job_run import run_job
from server.home import job_folder
from shrinkml.client import JobHandle
from shrinkml.job import JobSpec, parse_job
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.report import to_json
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import load

QUICK = Path(__file__).with_name("quick_worker.py")
FIGURES = ("goal_met", "missed_by", "baseline", "result", "compression_ratio", "size_ratio", "comparison", "layers")


class Undisturbed(NamedTuple):
    folder: Path
    report: dict[str, Any]
    keys: list[str]


@pytest.fixture(scope="module")
def data_root(tiny_model_dir: Path, tiny_data: dict[str, Path]) -> Path:
    """The folder above the tiny recogniser and its data."""
    return Path(tiny_model_dir.parents[1])


@pytest.fixture(scope="module")
def spec(tiny_model_dir: Path, tiny_data: dict[str, Path]) -> JobSpec:
    """A job of every stage."""
    return parse_job(
        {
            "name": "tiny",
            "model": str(tiny_model_dir),
            "data": {**{split: str(path) for split, path in tiny_data.items()}, "proxy_utterances": 12},
            "goal": {"compression_ratio": 3.0, "max_wer_increase": 1.0},
            "steps": [3.0],
            "search": {"strategy": "random", "evaluations": 6, "baselines": ["greedy"]},
            "finetune": {"epochs": 2, "batch_size": 12},
            "executor": "local",
        }
    )


@pytest.fixture(scope="module")
def untrained(spec: JobSpec) -> JobSpec:
    """The job without its longest stage."""
    return spec.model_copy(update={"finetune": spec.finetune.model_copy(update={"epochs": 0})})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[JobSpec], Undisturbed]:
    """Runs jobs in peace, without a server, each once."""

    @cache
    def run(job: str) -> Undisturbed:
        folder, keys = tmp_path_factory.mktemp("undisturbed"), []
        report = to_json(
            run_job(JobSpec.model_validate_json(job), folder, on_event=lambda event: keys.append(event.key))
        )
        return Undisturbed(folder, report, keys)

    return lambda spec: run(spec.model_dump_json())


def evaluations(folder: Path) -> list[tuple[str, str, int]]:
    """The parts of plans that were judged, once for each time that it was."""
    with sqlite3.connect(folder / "evaluations.sqlite") as database:
        return database.execute("SELECT context, plan, part FROM part_log").fetchall()


def assert_undisturbed(home: Path, job: JobHandle, peace: Undisturbed) -> None:
    """The job found what it finds in peace, judged no plan twice, and its log has no gap and no repetition."""
    entries = list(job.events())
    assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    assert Counter(e.event.key for e in entries if e.event.kind != "state") == Counter(peace.keys)
    judged = evaluations(job_folder(home, job.id))
    assert len(judged) == len(set(judged)) == len(evaluations(peace.folder))
    report = job.report()
    assert {key: report[key] for key in FIGURES} == {key: peace.report[key] for key in FIGURES}


def test_a_job_killed_in_its_search_gives_the_recogniser_that_it_gives_in_peace(
    serving, tmp_path, data_root, untrained, undisturbed, tiny_data
):
    peace = undisturbed(untrained)
    with serving(data=data_root, worker=QUICK) as server:
        job = server.client.submit(untrained)
        server.wait_for_event(job, "search-3x/random/0/3")
        server.kill_worker()
        assert job.wait()["state"] == "succeeded"
        assert_undisturbed(tmp_path, job, peace)
        assert [(c["parameters"], c["wer"]) for c in job.candidates()] == pareto(peace.report)
        (final,) = job.download(tmp_path / "small", only=["final"])
        job.save_report(tmp_path / "small")
    assert (tmp_path / "small" / "report.html").stat().st_size > 1_000_000, "plotly is inside"
    audio = [utterance.audio for utterance in read_manifest(tiny_data["test"])[:4]]
    assert list(view_in_fresh_process(final, audio, threads=1).transcripts) == heard(peace, audio)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a worker that dies again and again is started again after half a minute
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_job_killed_in_every_stage_gives_the_recogniser_that_it_gives_in_peace(
    serving, tmp_path, data_root, spec, undisturbed, executor
):
    peace = undisturbed(spec)
    stages = list(dict.fromkeys(key.partition("/")[0] for key in peace.keys))
    with serving(data=data_root, worker=None) as server:
        job = server.client.submit(spec.model_copy(update={"executor": executor}))
        for stage in stages:
            server.wait_for_event(job, f"{stage}/started")
            server.kill_worker()
        assert job.wait()["state"] == "succeeded"
        assert_undisturbed(tmp_path, job, peace)


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_job_cancelled_in_every_stage_stops_within_ten_seconds_and_goes_on(
    serving, data_root, spec, undisturbed, executor
):
    peace = undisturbed(spec)
    stages = list(dict.fromkeys(key.partition("/")[0] for key in peace.keys))
    with serving(data=data_root, worker=None) as server:
        job = server.client.submit(spec.model_copy(update={"executor": executor}))
        for stage in stages[:-1]:  # the last one is over before the worker notices
            if any(entry.event.key == f"{stage}/started" for entry in job.past_events()):
                continue  # it was over before the worker noticed
            server.wait_for_event(job, f"{stage}/started")
            job.cancel()
            assert job.wait()["state"] == "cancelled", stage
            asked, stopped = (datetime.fromisoformat(moved["at"]) for moved in job.status()["transitions"][-2:])
            assert stopped - asked < timedelta(seconds=10), stage
            job.resume()
        assert job.wait()["state"] == "succeeded"
        report = job.report()
        assert {key: report[key] for key in FIGURES} == {key: peace.report[key] for key in FIGURES}


def heard(peace: Undisturbed, audio: list[Path]) -> list[str]:
    model = load(peace.folder / "checkpoints" / "final")
    return model.transcribe([model.features(read_audio(path, model.sample_rate_hz)) for path in audio])


def pareto(report: dict[str, Any]) -> list[tuple[int, float]]:
    """By the definition: plans that no other one beats in one respect and equals in the other."""
    points = {(trial["parameters"], trial["wer"]) for trial in report["trials"]}
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] <= p[1]}
    return sorted(points - beaten)
