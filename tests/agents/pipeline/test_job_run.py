"""Whole jobs on the tiny recogniser: stages, gate, stops, and what is left of a killed process."""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.execution.local_executor import LocalExecutor
from agents.pipeline.job_run import run_job
from agents.pipeline.stage import Stage, takes
from agents.pipeline.stage_table import STAGES
from agents.pipeline.stages.conclusion import speed_stage
from agents.pipeline.stages.conclusion.final_test_stage import TEST
from agents.pipeline.stages.conclusion.speed_stage import time_runtimes
from agents.pipeline.stages.steps.search_stage import search_tasks
from agents.strategies.model_based.kept_policy import read_policy
from shrinkml.errors import CheckpointError, ConfigError, ManifestError, PlanError, StoppedError, UnknownNameError
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.measure.speed_rows import RuntimeRow
from shrinkml.report import to_json
from shrinkml.report.record import CheckpointRow, ExportRow, LayerRow, Report, Sample
from shrinkml.report.search_rows import ComparisonRow, MenuRow, StepRow, TrialRow
from shrinkml.storage.checkpoint import inspect, load, stored_parameters

OF_STEP = ("calibrate", "search", "choose", "factorize", "finetune", "evaluate")
NO_TRAINING = {"epochs": 0}


def run(spec, folder, events=None, **options):
    on_event = events.append if events is not None else lambda event: None
    return to_json(run_job(spec, folder, on_event=on_event, **options))


def n_evaluated(folder):
    with sqlite3.connect(folder / "evaluations.sqlite") as database:
        return database.execute("SELECT count(*) FROM part_log").fetchone()[0]


def test_a_job_leaves_a_smaller_recogniser_and_the_evidence(finished, tiny_model_dir):
    spec, folder, report, _ = finished
    assert report["goal_met"]
    assert report["missed_by"] == {"compression_ratio": 0.0, "wer": 0.0, "wer_at_goal_ratio": 0.0}
    final = folder / "checkpoints" / "final"
    ratio = stored_parameters(tiny_model_dir) / stored_parameters(final)
    assert ratio == report["compression_ratio"] >= spec.goal.compression_ratio
    assert inspect(final).dtype == inspect(tiny_model_dir).dtype
    assert inspect(final).provenance["compressed_from"] == inspect(tiny_model_dir).digest
    assert load(final).transcribe([load(final).features(np.zeros(16_000, np.float32))])
    assert (folder / "report.html").stat().st_size > 1_000_000, "plotly is inside"
    assert json.loads((folder / "report.json").read_text()) == report


def test_every_checkpoint_says_what_it_is(finished, tiny_model_dir, tiny_data):
    _, folder, report, _ = finished
    for found in (folder / "checkpoints").iterdir():
        record = json.loads((found / "compression.json").read_text())
        assert {row["name"]: row["rank"] for row in record["layers"] if row["rank"]} == inspect(found).plan.ranks
        assert record["provenance"]["source"] == inspect(tiny_model_dir).digest
        digests = {split: hashlib.sha256(path.read_bytes()).hexdigest() for split, path in tiny_data.items()}
        assert record["provenance"]["data"] == digests
        on = "24 test utterances" if found.name == "final" else "24 dev utterances"
        assert on in (found / "README.md").read_text()
    assert f"{100 * report['result']['wer']:.2f} %" in (folder / "checkpoints" / "final" / "README.md").read_text()
    described = {row["name"]: row["bytes"] for row in report["checkpoints"]}
    assert described["final"] == sum(path.stat().st_size for path in (folder / "checkpoints" / "final").iterdir())


def test_the_report_has_the_keys_that_it_promises(finished):
    _, _, report, _ = finished
    assert set(report) == set(Report.__annotations__)
    rows = {"steps": StepRow, "comparison": ComparisonRow, "layers": LayerRow, "menus": MenuRow, "trials": TrialRow}
    rows |= {"checkpoints": CheckpointRow, "samples": Sample}
    for key, row in rows.items():
        assert {frozenset(found) for found in report[key]} == {frozenset(row.__annotations__)}
    assert [stage["target_ratio"] for stage in report["steps"]] == [1.5, 3.0]
    assert {row["name"] for row in report["checkpoints"]} == {"step-1.5x", "step-3x", "final"}
    assert len(report["samples"]) == 8
    assert report["baseline"]["n_utterances"] == report["result"]["n_utterances"] == 24


def assert_every_runtime_was_timed(report, folder):
    rows = {(row["runtime"], row["model"], row["precision"]): row for row in report["runtimes"]}
    runtimes = (("torch", "float32"), ("onnxruntime", "float32"), ("onnxruntime", "int8"))
    models = ("original", "compressed", "step-1.5x")
    assert set(rows) == {(runtime, model, precision) for runtime, precision in runtimes for model in models}
    assert len(rows) == len(report["runtimes"]), "the original is there once"
    assert {frozenset(row) for row in report["runtimes"]} == {frozenset(RuntimeRow.__annotations__)}
    assert rows["torch", "original", "float32"]["bytes"] == report["baseline"]["bytes"]
    for export in report["exports"]:
        precision = "int8" if export["int8"] else "float32"
        assert rows["onnxruntime", "compressed", precision]["bytes"] == export["bytes"]
        for larger in ("original", "step-1.5x"):
            assert export["bytes"] < rows["onnxruntime", larger, precision]["bytes"]
    (speed,) = (folder / "stages").glob("speed")
    assert [path.name for path in speed.iterdir()] == ["result.json"], "the original's export was for the timing alone"
    assert json.loads((speed / "result.json").read_text())["runtimes"] == report["runtimes"]


def test_exports_of_single_precision_lie_beside_the_final_checkpoint_and_hear_the_same(
    tiny_job, tiny_model_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(speed_stage, "time_runtimes", time_runtimes)
    events = []
    spec = tiny_job(steps=[1.5, 3.0], export=["onnx"], quantize="int8", finetune=NO_TRAINING, dtype="float32")
    report = run(spec, tmp_path, events)
    final = tmp_path / "checkpoints" / "final"
    assert (inspect(tiny_model_dir).dtype, inspect(final).dtype) == ("float16", "float32")
    plain, int8 = report["exports"]
    assert (plain["name"], int8["name"]) == ("final-onnx", "final-onnx-int8")
    assert plain["same_transcripts"] == plain["n_utterances"] == 24
    assert plain["largest_difference"] < 1e-3
    assert plain["wer"] == report["result"]["wer"]
    assert plain["long_wer"] == plain["long_wer_exported"]
    assert plain["silence_words"] == plain["silence_words_exported"]
    assert plain["longest_s"] > 20
    assert report["torch_int8"] is None, "nothing in so small a model gains by it in torch"
    assert set(int8["component_wers"]) == {"float", "encoder", "decoder", "output"}
    assert {frozenset(row) for row in report["exports"]} == {frozenset(ExportRow.__annotations__)}
    listed = {row["name"]: row["bytes"] for row in report["checkpoints"]}
    for row in (plain, int8):
        folder = tmp_path / "checkpoints" / row["name"]
        assert row["bytes"] == listed[row["name"]] == sum(path.stat().st_size for path in folder.iterdir())
        model = load(tmp_path / "checkpoints" / "final")
        assert OnnxRecogniser(folder).transcribe([np.zeros(16_000, np.float32)]) == model.transcribe(
            [model.features(np.zeros(16_000, np.float32))]
        )
    assert [event.stage for event in events if event.kind == "stage_finished"][-3] == "export"
    assert_every_runtime_was_timed(report, tmp_path)
    assert run(spec, tmp_path) == report


def test_fine_tuning_at_a_harmful_rate_goes_back_and_says_so(tiny_job, tmp_path):
    harmful = {"epochs": 1, "learning_rate": 1.0, "batch_size": 12, "distill": False}
    spec, events = tiny_job(finetune=harmful), []
    report = run(spec, tmp_path, events)
    (stage,) = report["steps"]
    assert [event.data["rate"] for event in events if event.kind == "setback"]
    (original,) = (event.data["dev"]["wer"] for event in events if event.key == "baseline/finished")
    allowed = original + spec.goal.max_wer_increase
    assert stage["kept"] == "factorized" or stage["wer_after"] <= max(stage["wer_before"], allowed)


def test_strategies_are_compared_at_the_same_number_of_evaluations(finished):
    _, _, report, events = finished
    found = {(row["strategy"], row["seed"]): row["evaluations"] for row in report["comparison"]}
    assert set(found) == {("random", 0), ("greedy", 0), ("knapsack", 0)}
    assert (found["random", 0], found["greedy", 0]) == (6, 1)
    assert 1 < found["knapsack", 0] <= 6
    assert len(report["trials"]) == sum(event.kind == "evaluated" for event in events)


def test_the_report_tells_the_last_stages_menus_with_what_was_measured_and_what_was_taken(finished):
    _, folder, report, _ = finished
    start, taken = (inspect(folder / "checkpoints" / name).plan for name in ("step-1.5x", "step-3x"))
    for row in report["menus"]:
        assert row["entries"][-1]["rank"] == start.choice(row["name"]).rank
        assert [entry["rank"] for entry in row["entries"] if entry["chosen"]] == [taken.choice(row["name"]).rank]
    measured = [entry for row in report["menus"] for entry in row["entries"][:-1] if entry["wer_alone"] is not None]
    over = [row for row in report["trials"] if not row["within_budget"]]
    assert {entry["wer_alone"] for entry in measured} == {row["wer"] for row in over if row["step"] == 2}
    assert {row["strategy"] for row in over} == {"knapsack"}
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{len(measured)} plans compressed one layer alone." in page
    assert "At equal evaluations (at most 6 each), random" in page


def test_events_are_unique_and_progress_never_falls(finished):
    _, _, _, events = finished
    assert max(Counter(event.key for event in events).values()) == 1
    fractions = [event.progress.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert [event.stage for event in events if event.kind == "stage_finished"] == [
        "validate",
        "transcripts",
        "baseline",
        *(f"{stage}-1.5x" for stage in OF_STEP),
        *(f"{stage}-3x" for stage in OF_STEP),
        "windows",
        "verify",
        "test",
        "speed",
        "report",
    ]


def test_a_finished_job_is_not_done_again(finished):
    spec, folder, report, _ = finished
    before, events = n_evaluated(folder), []
    assert run(spec, folder, events) == report
    assert n_evaluated(folder) == before
    assert {event.kind for event in events} == {"stage_started", "stage_finished"}


@dataclass(frozen=True, slots=True)
class Counted:
    n_samples: int


def test_a_stage_is_added_by_a_row_and_runs_in_a_job_that_was_begun_without_it(finished, tmp_path):
    spec, folder, report, _ = finished
    shutil.copytree(folder, tmp_path / "job")
    toy = Stage("count", Counted, lambda context: Counted(len(context.record(TEST).samples)), takes(1.0))
    events = []
    assert run(spec, tmp_path / "job", events, stages=(*STAGES[:-1], toy, STAGES[-1])) == report
    told = [event.stage for event in events if event.kind == "stage_finished"]
    assert told[-3:] == ["speed", "count", "report"]
    assert len(told) == len(list((tmp_path / "job" / "stages").iterdir())), "all others are those that were finished"
    assert json.loads((tmp_path / "job" / "stages" / "count" / "result.json").read_text())["n_samples"] == 8
    assert events[-1].progress.fraction == 1.0


def test_a_job_begun_when_stages_had_numbers_goes_on(finished, tmp_path):
    spec, folder, report, events = finished
    job = shutil.copytree(folder, tmp_path / "job")
    for name in ("report.json", "report.html", "stages/report", "stages/speed"):
        path = job / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = [event.stage for event in events if event.kind == "stage_finished"]
    for number, name in enumerate(done[:-2], 1):
        (job / "stages" / name).rename(job / "stages" / f"{number:02d}-{name}")
    for path in (job / "checkpoints").glob("step-*"):
        path.rename(path.with_name(path.name.replace("step", "stage")))
    (workspace,) = (job / "stages").glob("*calibrate-3x/workspace.json")
    workspace.write_text(workspace.read_text().replace("checkpoints/step-", "checkpoints/stage-"))
    again = run(spec, job)
    same = set(report) - {"speedup", "runtimes", "seconds"}
    assert {key: again[key] for key in same} == {key: report[key] for key in same}
    assert n_evaluated(job) == n_evaluated(folder)


def test_the_second_stage_starts_from_the_first_ones_model(finished):
    _, folder, _, _ = finished
    first = inspect(folder / "checkpoints" / "step-1.5x").plan
    last = inspect(folder / "checkpoints" / "step-3x").plan
    assert first.ranks
    assert all(last.ranks[name] <= rank for name, rank in first.ranks.items())


@pytest.mark.usefixtures("evolving_little")
def test_what_dyna_learns_in_one_stage_starts_the_next(tiny_job, tmp_path):
    search = {"strategy": "dyna", "evaluations": 8, "baselines": ["greedy"]}
    first = tiny_job(steps=[1.5, 3.0], search=search, finetune=NO_TRAINING)
    run(first, tmp_path / "first")
    learned = [
        json.loads(path.read_text())[0]["policy"] for path in sorted((tmp_path / "first").glob("stages/*/results.json"))
    ]
    kept = read_policy(tmp_path / "first" / "policy.json")
    assert kept == learned[1] != learned[0]

    (workspace,) = (tmp_path / "first" / "stages").glob("calibrate-3x")
    begun = [
        search_tasks(first.search, first.seed, str(workspace), policies)[0]
        for policies in ({("dyna", first.seed): learned[0]}, {})
    ]
    found = LocalExecutor().run(begun, on_trial=lambda *_: None, should_stop=lambda: False)
    assert learned[1] == found[0].policy != found[1].policy


def test_a_stage_that_misses_is_followed_by_gentler_ones_and_the_best_is_kept(tiny_job, tmp_path):
    goal = {"compression_ratio": 20.0, "max_wer_increase": 0.2}
    search = {"strategy": "divergence", "evaluations": 1, "baselines": []}
    report = run(tiny_job(goal=goal, search=search, steps=[1.2, 20.0], finetune=NO_TRAINING), tmp_path)
    stages = report["steps"]
    assert [stage["accepted"] for stage in stages[:2]] == [True, False]
    assert stages[2]["target_ratio"] == pytest.approx((1.2 * 20.0) ** 0.5, abs=0.01)
    assert not report["goal_met"]
    kept = max((stage for stage in stages if stage["accepted"]), key=lambda stage: stage["target_ratio"])
    assert report["result"]["parameters"] == kept["parameters"]
    missed = report["missed_by"]
    assert missed["compression_ratio"] == pytest.approx(20.0 - kept["compression_ratio"])
    wers = [stage["wer_after"] for stage in stages if stage["target_ratio"] == 20.0]
    assert missed["wer_at_goal_ratio"] == pytest.approx(min(wers) - report["sets"]["dev"]["baseline_wer"] - 0.2)


def test_a_goal_below_the_smallest_ranks_is_refused_before_any_work(tiny_job, tmp_path):
    spec = tiny_job(goal={"compression_ratio": 900.0}, steps="auto")
    with pytest.raises(PlanError, match=r"the goal of 900x is out of reach: .* the model is \d+\.\d\dx smaller"):
        run(spec, tmp_path)
    assert not (tmp_path / "evaluations.sqlite").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"search": {"strategy": "luck"}}, UnknownNameError, "no strategy named 'luck'"),
        ({"search": {"reward": "money"}}, UnknownNameError, "no reward named 'money'"),
        ({"factorizer": "qr"}, UnknownNameError, "no factorizer named 'qr'"),
        ({"search": {"strategy": "dyna", "policy": "/nowhere"}}, ConfigError, "search.policy: /nowhere cannot be read"),
    ],
)
def test_names_are_checked_before_any_work(tiny_job, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        run(tiny_job(**changes), tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("executor", ["local", "ray"])
def test_a_gpu_that_is_not_there_is_refused_before_any_work(tiny_job, tmp_path, executor):
    with pytest.raises(ConfigError, match="device is 'cuda', but torch sees no GPU here; allowed: cpu, and auto"):
        run(tiny_job(device="cuda", executor=executor), tmp_path)
    assert not (tmp_path / "evaluations.sqlite").exists()


def test_overlapping_splits_are_refused(tiny_job, tiny_data, tmp_path):
    data = {"dev": str(tiny_data["dev"]), "test": str(tiny_data["dev"])}
    with pytest.raises(ManifestError, match="dev"):
        run(tiny_job(data=data), tmp_path)


def test_a_folder_that_is_no_model_is_refused_in_the_first_stage(tiny_job, tmp_path):
    events = []
    with pytest.raises(CheckpointError, match=r"is no checkpoint: config\.json missing"):
        run(tiny_job(model=str(tmp_path)), tmp_path, events)
    assert [event.stage for event in events] == ["validate"]


def test_another_job_in_the_folder_is_refused(finished, tiny_job):
    _, folder, _, _ = finished
    with pytest.raises(ConfigError, match="holds another job"):
        run(tiny_job(seed=7), folder)


class StopAt:
    """Hears events; wants to stop once it has heard of the event `key`."""

    def __init__(self, key):
        self.key = key
        self.heard = []

    def __call__(self, event):
        self.heard.append(event.key)

    def should_stop(self):
        return any(key.endswith(self.key) for key in self.heard)


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("calibrate-1.5x/started", None),
        ("search-1.5x/random/0/3", ("best-so-far", 1.5)),
        ("finetune-1.5x/epoch/1", ("best-so-far", 1.5)),
        ("search-3x/random/0/3", ("best-so-far", 1.5)),
        ("verify/started", ("final", 3.0)),
    ],
)
def test_a_stopped_job_keeps_its_best_so_far(finished, as_of, key, kept):
    spec, _, report, _ = finished
    job, stop = as_of(key.partition("/")[0]), StopAt(key)
    with pytest.raises(StoppedError, match="stopped"):
        run_job(spec, job, on_event=stop, should_stop=stop.should_stop)
    found = {path.name: path for path in (job / "checkpoints").glob("*")}
    assert ("best-so-far" in found or "final" in found) == (kept is not None)
    if kept is not None:
        name, ratio = kept
        assert "times smaller" in (found[name] / "README.md").read_text()
        assert report["baseline"]["parameters"] / stored_parameters(found[name]) >= ratio


PROGRAM = """
import sys
from pathlib import Path
from agents.pipeline.job_run import run_job
from shrinkml.job import JobSpec
spec = JobSpec.model_validate_json(sys.argv[1])
run_job(spec, Path(sys.argv[2]), on_event=lambda event: print(event.key, flush=True))
"""


def run_until(spec, folder, key):
    """Runs the job in a process of its own, killed at the event `key`; the keys that it told."""
    command = [sys.executable, "-c", PROGRAM, spec.model_dump_json(), str(folder)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # like this process: sums depend on it in their last bits
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=one_thread) as process:
        heard = []
        for line in process.stdout:
            heard.append(line.strip())
            if heard[-1].endswith(key):
                process.kill()
                break
    return heard


def assert_ended_like(reference, report, folder):
    """The report is that of the uninterrupted job `reference`, and no plan was judged twice on the way."""
    _, uninterrupted, expected, _ = reference
    same = ("goal_met", "baseline", "result", "comparison", "layers", "trials", "samples")
    assert {name: report[name] for name in same} == {name: expected[name] for name in same}
    assert [row["sha256"] for row in report["checkpoints"]] == [row["sha256"] for row in expected["checkpoints"]]
    assert n_evaluated(folder) == n_evaluated(uninterrupted)


def test_a_job_that_was_stopped_and_resumed_ends_as_it_would_have(finished, as_of):
    spec = finished[0]
    job, stop = as_of("search-3x"), StopAt("search-3x/random/0/3")
    with pytest.raises(StoppedError, match="stopped while searching for 3x"):
        run_job(spec, job, on_event=stop, should_stop=stop.should_stop)
    assert_ended_like(finished, run(spec, job), job)


@pytest.mark.parametrize(
    ("executor", "keys"),
    [
        ("local", ["search-1.5x/random/0/3", "finetune-3x/epoch/1"]),
        pytest.param("ray", ["search-3x/random/0/2"], marks=pytest.mark.slow),
    ],
)
def test_a_killed_job_ends_as_it_would_have(finished, tmp_path, executor, keys):
    spec, _, _, events = finished
    spec = spec.model_copy(update={"executor": executor})
    heard = []
    for key in keys:
        heard += run_until(spec, tmp_path, key)
        assert heard[-1].endswith(key)
    resumed = []
    assert_ended_like(finished, run(spec, tmp_path, resumed), tmp_path)
    resumed_keys = {event.key for event in resumed}
    assert _but_passes({*heard, *resumed_keys}) == _but_passes({event.key for event in events})


def _but_passes(keys):
    """`keys` without those of utterances that passed: what a teacher said is remembered as long as a process lives."""
    return {key for key in keys if "/passed/" not in key}


def test_layers_that_a_job_leaves_alone_come_through_all_its_steps_as_they_were(tiny_job, tiny_model_dir, tmp_path):
    quick = {"strategy": "surrogate", "evaluations": 4, "baselines": ["greedy", "by_type"]}
    layers = {"except": ["embedding", "cell"]}
    run(
        tiny_job(
            layers=layers,
            goal={"compression_ratio": 1.7, "max_wer_increase": 1.0},
            steps=[1.3, 1.7],
            search=quick,
            finetune=NO_TRAINING,
        ),
        tmp_path,
    )
    before, after = (load(folder).state_dict() for folder in (tiny_model_dir, tmp_path / "checkpoints" / "final"))
    for name in ("embedding.weight", "cell.weight_ih", "cell.weight_hh"):
        assert torch.equal(before[name], after[name])


def test_a_job_without_any_transcripts_counts_what_differs_from_the_original(tiny_job, tmp_path):
    spec = tiny_job(steps=[4.0], goal={"compression_ratio": 4.0, "max_wer_increase": 1.0}, finetune=NO_TRAINING)
    silent = {}
    for split in ("train", "dev", "test"):
        lines = [json.loads(line) for line in Path(getattr(spec.data, split)).read_text().splitlines()]
        folder = Path(getattr(spec.data, split)).parent
        rows = [{**line, "audio_filepath": str(folder / line["audio_filepath"])} for line in lines]
        silent[split] = tmp_path / f"{split}.jsonl"
        silent[split].write_text("\n".join(json.dumps({k: v for k, v in row.items() if k != "text"}) for row in rows))
    data = spec.data.model_copy(update={split: str(path) for split, path in silent.items()})
    report = run(spec.model_copy(update={"data": data}), tmp_path / "run")
    assert report["untranscribed"] == ["train", "dev", "test"]
    assert report["baseline"]["wer"] == report["sets"]["dev"]["baseline_wer"] == 0.0
    assert 0.0 < report["result"]["wer"] < 1.0
