"""A worker whose pipeline only waits: for what matters is timing, not models.

Every job has three stages of ten evaluations; an evaluation is made once per job folder, however often the job starts.
The name of a job chooses what goes wrong in its second stage: "crash" ends the process, "broken" and "surprised" raise,
"spawn" leaves a child that ignores polite signals, "endless" waits to be cancelled, once, and "stubborn" does not even
heed that. "missed" misses its goal. "full" writes until the disk is full, once; "steady" works until it is cancelled.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from server.limits import Limits
from server.worker import cancellation
from server.worker.work import work
from server.worker.worker_command import DATABASE_VARIABLE
from shrinkml.errors import PlanError, StoppedError
from shrinkml.events import Event, Progress
from shrinkml.report import from_json
from tests.report_example import example

STAGES = ("search-1", "search-2", "search-3")
N_EVALUATIONS = 10
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def run_job(spec, folder: Path, *, on_event, should_stop, run_stage):
    folder.mkdir(parents=True, exist_ok=True)
    for n, stage in enumerate(STAGES):
        run_stage(stage, lambda n=n, stage=stage: search(spec, folder, n, stage, on_event, should_stop))
        publish(folder, stage)
    missed = spec.name == "missed"
    report = {
        **example(),
        "goal_met": not missed,
        "goal": {"compression_ratio": spec.goal.compression_ratio, "max_wer_increase": 0.003},
        "missed_by": {"compression_ratio": 1.5 if missed else 0.0, "wer": 0.0, "wer_at_goal_ratio": 0.0},
        "compression_ratio": spec.goal.compression_ratio - (1.5 if missed else 0.0),
    }
    (folder / "report.json").write_text(json.dumps(report))
    (folder / "report.html").write_text("<!DOCTYPE html><title>Report</title>")
    return from_json(report)


def search(spec, folder: Path, n: int, stage: str, on_event, should_stop):
    on_event(Event("stage_started", f"{stage}/started", stage, f"Searching ({stage})."))
    if n == 1:
        go_wrong(spec.name, folder, should_stop)
    for i in range(N_EVALUATIONS):
        if should_stop():
            raise StoppedError("stopped")
        evaluate(folder, f"{stage}/{i}")
        done = n * N_EVALUATIONS + i + 1
        progress = Progress(done / 30, done, 30, (30 - done) * 0.03)
        facts = {"wer": 1 / done, "parameters": done}
        on_event(Event("evaluated", f"{stage}/{i}", stage, f"Plan {i}.", facts, progress))
    on_event(Event("stage_finished", f"{stage}/finished", stage, f"Searched ({stage})."))
    return {"stage": stage}


def evaluate(folder: Path, key: str) -> None:
    """An evaluation costs a moment, once: what was made before a crash is found again."""
    made = folder / "evaluations" / key.replace("/", "-")
    if not made.exists():
        time.sleep(0.03)
        made.parent.mkdir(exist_ok=True)
        made.touch()
        with (folder / "evaluations.log").open("a") as log:
            log.write(f"{key}\n")


def publish(folder: Path, stage: str) -> None:
    checkpoint = folder / "checkpoints" / "final"
    checkpoint.mkdir(parents=True, exist_ok=True)
    (checkpoint / "config.json").write_text(json.dumps({"stage": stage}))
    (checkpoint / "model.safetensors").write_bytes(stage.encode() * 200_000)


def go_wrong(name: str, folder: Path, should_stop) -> None:
    if name == "endless" and not (folder / "cancelled").exists():
        while not should_stop():
            time.sleep(0.01)
        (folder / "cancelled").touch()
    if name == "steady":
        while not should_stop():
            time.sleep(0.01)
    if name == "full" and not (folder / "was-full").exists():
        (folder / "was-full").touch()
        partial = folder / "stages" / "search-2.partial"
        partial.mkdir(parents=True)
        with (partial / "model").open("wb", buffering=0) as model:
            while True:
                model.write(bytes(1 << 16))
    if name == "crash":
        os._exit(9)
    if name == "broken":
        raise PlanError("no plan fits")
    if name == "surprised":
        raise ZeroDivisionError("secret")
    if name == "stubborn":
        time.sleep(600)
    if name == "spawn":
        subprocess.Popen([sys.executable, "-c", DEAF], start_new_session=True)


if __name__ == "__main__":
    cancellation.GRACE_S = 1.0  # what is promised of it is asked of the server's own
    home, limits, *files = sys.argv[1:]
    work(
        Path(home),
        run_job,
        database=os.environ.get(DATABASE_VARIABLE) or None,
        files=Path(*files) if files else None,
        limits=Limits.model_validate_json(limits),
    )
