"""The worker process: takes jobs from the store and runs them, one at a time.

A worker that died goes on with its job when it is started again; where it is not, another one takes the job over (see
`server.stores.job_store`). Either goes on from the stages that lie finished in the job's folder.
The worker can therefore be killed at any time, and that is how it always ends: when its standard input closes, because
the process that started it has stopped or died, it takes its own children with it.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from server.artefacts.folder_artefacts import FolderArtefacts
from server.home import (
    Lock,
    artefacts_folder,
    database_url,
    facts,
    job_folder,
    pulse,
    require_space,
    sole_user,
    worker_id,
)
from server.home import database as database_file
from server.jobs.admission import check_paths
from server.jobs.job_state import Job
from server.limits import DEFAULT_LIMITS, Limits
from server.log_lines import LogFormat
from server.service_errors import HomeLostError
from server.service_log import log_to_stderr
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.uploads.references import located
from server.uploads.uploads import Uploads, uploads_in
from server.worker.departure import Departure
from server.worker.heartbeat import beating, beating_in_store
from server.worker.job_execution import RunJob, StageResult, Workplace, execute
from server.worker.job_limits import watch_limits
from server.worker.job_loop import run_jobs
from server.worker.processes import OrphanReaper, adopt_orphans, end_family
from server.worker.worker_command import DATABASE_VARIABLE
from shrinkml.job import JobSpec

BEATS_TO_BURIAL = 10  # looking for the dead means looking at every process of the machine
NICENESS = 10  # below the server, which answers at once while a job takes all cores
LOCK_WAIT_S = 30.0  # a worker whose server was killed may take a moment to end
log = logging.getLogger(__name__)


def work(
    home: Path,
    run_job: RunJob,
    *,
    database: str | None = None,
    files: Path | None = None,
    data_roots: Sequence[Path] = (Path("/"),),
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Run jobs until standard input closes; never returns.

    Args:
        home: the worker's folder.
        run_job: the pipeline.
        database: URL of the jobs' database; a file in the home unless given.
        files: folder of the jobs' files; the home unless given.
        data_roots: folders that jobs may read.
        limits: on jobs.

    Raises:
        HomeInUseError: another worker is at work there and does not end.
    """
    adopt_orphans()
    os.nice(NICENESS)  # of this process and all that it starts
    files = files or home
    with sole_user(home, "worker", wait_s=LOCK_WAIT_S) as lock, beating(pulse(home), each_time=_caretaker(lock)):
        departure, worker = Departure(), worker_id(home)
        engine = connect(database_url(home, database))
        store = SqlJobStore(engine)
        if database is None:
            lock.watch(database_file(home))
        place = Workplace(
            store=store,
            artefacts=FolderArtefacts(artefacts_folder(files)),
            folder_of=partial(job_folder, files),
            run_job=run_job,
            run_stage=partial(_run_stage, departure),
            record=departure.record,
            end_process=_end_process,
            prepare=partial(_prepare, files, data_roots, limits, uploads_in(files, engine, limits)),
            watch_limits=partial(watch_limits, files, limits),
        )
        at_work: list[Job] = []
        with beating_in_store(partial(store.beat, worker)):
            _start(place, worker, at_work)
            log.info("worker %d is ready", os.getpid())
            _wait_for_the_end()
            log.info("worker %d ends: its server has stopped or died", os.getpid())
            departure.begin()  # or the job would be recorded as failed when its processes are gone
            for job in at_work:
                with suppress(Exception):  # then the next worker takes the job for one that costs workers
                    store.leave(job)
            end_family()
            os._exit(0)  # at once: exit handlers would wait for the job, which goes on at the next start


def _wait_for_the_end() -> None:
    """Return when the server has stopped or died, or somebody ends this process in order (a service manager does)."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        sys.stdin.read()


def _caretaker(lock: Lock) -> Callable[[], None]:
    """Return what is done every second: who works in a home that is gone ends; and the dead are buried, more rarely."""
    reaper, beats = OrphanReaper(), count()

    def look() -> None:
        if next(beats) % BEATS_TO_BURIAL == 0:
            reaper.look(time.monotonic())
        try:
            lock.require_home()
        except HomeLostError as error:
            log.error("%s", error)
            end_family()
            os._exit(1)

    return look


def _prepare(files: Path, data_roots: Sequence[Path], limits: Limits, uploads: Uploads, spec: JobSpec) -> JobSpec:
    """Return the job with paths for its uploads, once it has space on the disk and names no path that it may not."""
    require_space(files, limits.free_gb)
    job, folders = located(spec, uploads)
    check_paths(job, [*data_roots, *folders], limits=limits)
    return job


def _start(place: Workplace, worker: str, at_work: list[Job]) -> None:
    """Run jobs in a thread of their own from now on."""

    def run() -> None:
        try:
            run_jobs(place.store, worker, partial(execute, place), at_work)
        except Exception:  # the store itself fails: what became of the job is not written
            log.exception("the job has to be taken up again by the next worker")
            place.record(_end_process)

    threading.Thread(target=run, name="jobs", daemon=True).start()


def _run_stage(departure: Departure, name: str, stage: Callable[[], StageResult]) -> StageResult:
    """Run a stage, which is durable in the job's folder; where the process leaves meanwhile, never return."""
    try:
        return stage()
    finally:
        departure.record(lambda: None)


def _end_process() -> None:
    """As `kill -9` would; the server ends what we leave behind and starts the next worker."""
    os._exit(1)


def main() -> None:
    """`python -m server.worker.work HOME`: what `shrinkml serve` and `shrinkml worker` start."""
    parser = argparse.ArgumentParser(prog="python -m server.worker.work", description=__doc__)
    parser.add_argument("home", type=Path, help="the home folder")
    parser.add_argument("--files", type=Path, help="the folder of the jobs' files; the home unless given")
    parser.add_argument("--data-root", type=Path, action="append", required=True, help="a folder that jobs may read")
    parser.add_argument("--limits", type=Limits.model_validate_json, default=DEFAULT_LIMITS, help="as JSON")
    parser.add_argument("--allow-hub", action="store_true", help="models of the Hugging Face hub may be fetched")
    parser.add_argument("--log-format", type=LogFormat, default=LogFormat.TEXT, help=" or ".join(LogFormat))
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_format)
    from agents.pipeline.job_run import run_job

    work(
        arguments.home,
        partial(run_job, allow_hub=arguments.allow_hub, cache=facts(arguments.home)),
        database=os.environ.get(DATABASE_VARIABLE) or None,
        files=arguments.files,
        data_roots=arguments.data_root,
        limits=arguments.limits,
    )


if __name__ == "__main__":
    main()
