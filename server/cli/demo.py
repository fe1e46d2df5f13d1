"""`make demo`: the bundled recogniser made five times smaller through the real service, from speech to report.

Prepares the speech, starts the server, submits the job over HTTP and follows it, downloads the checkpoint, lets fresh
processes transcribe a sentence with both models, prints the figures, and stops everything, however it ends.
"""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.cli.output import ProgressView
from server.worker.memory import peak_memory
from server.worker.processes import adopt_orphans, end_descendants
from shrinkml.client import Client, JobHandle
from shrinkml.errors import ServiceError, ShrinkError
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.report import Report, from_json, summary_table
from shrinkml.speech.corpora.tasks import prepare_task
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.utterance import Utterance

CONFIG = Path("configs/demo.yaml")
ORIGINAL = Path("reference/las")
TASK = "commands"
SPEECH = Path("data") / TASK
RUN = Path("runs/demo")
FINAL = "final"  # the checkpoint to use, among those that the job leaves
START_S = 120.0  # for the server to listen: a cold disk takes its time with the imports
STOP_S = 20.0
SERVING = re.compile(r"serving at (\S+)")


def main() -> None:
    """`python -m server.cli.demo` in the project's folder. Exit status: 1 if a step failed or the goal was missed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    adopt_orphans()
    try:
        with peak_memory() as peak:
            met = run()
        say(f"At its peak it took {peak.bytes / 1e9:.1f} GB of memory.")
        sys.exit(0 if met else 1)
    except ShrinkError as error:
        sys.exit(f"The demo failed: {error}")
    except KeyboardInterrupt:
        sys.exit(f"Stopped; {RUN} keeps what is there.")
    finally:
        end_descendants()


def run() -> bool:
    """The whole demo; whether the goal was met."""
    started = time.monotonic()
    say(f"Preparing synthetic speech in {SPEECH} (made once) ...")
    sentence = read_manifest(prepare_task(TASK, SPEECH)["test"])[0]
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    with running_server(RUN / "server", RUN / "server.log") as url, Client(url) as client:
        job = client.submit(CONFIG)
        say(f"Submitted {CONFIG} to {url} as job {job.id}.")
        state = follow(job)
        report = from_json(job.report())
        job.save_report(RUN)
        job.download(RUN, only=[FINAL])
    show(report, sentence)
    say(f"\nReport: {RUN / 'report.html'} and {RUN / 'report.json'}")
    say(f"The demo took {(time.monotonic() - started) / 60:.1f} minutes.")
    return state == "succeeded"


@contextmanager
def running_server(home: Path, log: Path) -> Iterator[str]:
    """The URL of a server with its files in `home`, in a process of its own that has ended afterwards.

    Raises:
        ServiceError: it ended, or did not listen in time; the message holds what it said.
    """
    command = [sys.executable, "-m", "server.cli.main", "serve", "--home", str(home), "--port", "0"]
    with log.open("wb") as output:
        # A group of its own: Ctrl-C reaches the demo alone, which ends the server in order.
        process = subprocess.Popen(command, stdout=output, stderr=output, process_group=0)
    try:
        yield _url_of(process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _url_of(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := SERVING.search(log.read_text()):
            return found[1]
        time.sleep(0.1)
    raise ServiceError(f"the server did not start: {log.read_text().strip() or 'it said nothing'}")


def follow(job: JobHandle) -> str:
    """The state in which the job ended, after showing how it went.

    Raises:
        ServiceError: it ended without a report.
    """
    with ProgressView() as view:
        for entry in job.events():
            view.on_event(entry.event)
    status = job.status()
    failure = status["failure"]
    if failure and failure["code"] != "goal-missed":
        raise ServiceError(f"job {job.id} failed in stage {failure['stage']}: {failure['detail']}. {failure['hint']}")
    return str(status["state"])


def show(report: Report, sentence: Utterance) -> None:
    """Says what a fresh process hears in `sentence` with each model, and what the job found."""
    original, compressed = (
        view_in_fresh_process(model, [sentence.audio], threads=1) for model in (ORIGINAL, RUN / FINAL)
    )
    say(f'\nIn {sentence.audio.name}, "{sentence.text}" is said. In fresh processes,')
    say(f'  the original   ({original.parameters:>9,} weights in its file) hears "{original.transcripts[0]}"')
    say(f'  the compressed ({compressed.parameters:>9,} weights in its file) hears "{compressed.transcripts[0]}"\n')
    say(summary_table(report))


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
