"""The worker process: takes jobs from the queue and runs them, one at a time.

DBOS gives a job whose worker was killed to the next one, which goes on from the stages that lie finished in the job's
folder. They are no steps of DBOS: it would refuse a job whose stages a later version names otherwise.
The worker can therefore be killed at any time, and that is how it always ends: when its standard input closes, because
the server that started it has stopped or died, it takes its own children with it.
"""

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from dbos import DBOS, DBOSConfig

from server.artefacts.folder_artefacts import FolderArtefacts
from server.home import (
    Lock,
    artefacts_folder,
    database,
    database_url,
    facts,
    job_folder,
    pulse,
    require_space,
    sole_user,
)
from server.jobs.admission import check_paths
from server.limits import DEFAULT_LIMITS, Limits
from server.log_context import about_job
from server.log_lines import LogFormat
from server.service_errors import HomeLostError
from server.service_log import log_to_stderr
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.uploads.references import located
from server.uploads.uploads import Uploads, uploads_in
from server.worker.departure import Departure
from server.worker.heartbeat import beating
from server.worker.job_execution import RunJob, StageResult, Workplace, execute
from server.worker.job_limits import watch_limits
from server.worker.job_queue import APPLICATION, EXECUTOR, QUEUE, VERSION, WORKFLOW
from server.worker.processes import OrphanReaper, adopt_orphans, end_family
from shrinkml.job import JobSpec

QUEUE_POLL_S = 0.25
BEATS_TO_BURIAL = 10  # looking for the dead means looking at every process of the machine
NICENESS = 10  # below the server, which answers at once while a job takes all cores
LOCK_WAIT_S = 30.0  # a worker whose server was killed may take a moment to end
log = logging.getLogger(__name__)


def work(
    home: Path, run_job: RunJob, *, data_roots: Sequence[Path] = (Path("/"),), limits: Limits = DEFAULT_LIMITS
) -> None:
    """Run the jobs of the server in `home` until standard input closes; never returns.

    Args:
        home: the server's folder.
        run_job: the pipeline.
        data_roots: folders that jobs may read.
        limits: on jobs.

    Raises:
        HomeInUseError: another worker is at work there and does not end.
    """
    adopt_orphans()
    os.nice(NICENESS)  # of this process and all that it starts
    with sole_user(home, "worker", wait_s=LOCK_WAIT_S) as lock, beating(pulse(home), each_time=_caretaker(lock)):
        departure = Departure()
        engine = connect(database_url(home))
        lock.watch(database(home))
        place = Workplace(
            store=SqlJobStore(engine),
            artefacts=FolderArtefacts(artefacts_folder(home)),
            folder_of=partial(job_folder, home),
            run_job=run_job,
            run_stage=partial(_run_stage, departure),
            record=departure.record,
            end_process=_end_process,
            prepare=partial(_prepare, home, data_roots, limits, uploads_in(home, engine, limits)),
            watch_limits=partial(watch_limits, home, limits),
        )
        at_work: list[str] = []
        _listen(database_url(home), place, at_work)
        log.info("worker %d is ready", os.getpid())
        _wait_for_the_end()
        log.info("worker %d ends: its server has stopped or died", os.getpid())
        departure.begin()  # or the job would be recorded as failed when its processes are gone
        for job_id in at_work:
            with suppress(Exception):  # then the next worker takes the job for one that costs workers
                place.store.leave(job_id)
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


def _prepare(home: Path, data_roots: Sequence[Path], limits: Limits, uploads: Uploads, spec: JobSpec) -> JobSpec:
    """Return the job with paths for its uploads, once it has space on the disk and names no path that it may not."""
    require_space(home, limits.free_gb)
    job, folders = located(spec, uploads)
    check_paths(job, [*data_roots, *folders], limits=limits)
    return job


def _listen(url: str, place: Workplace, at_work: list[str]) -> None:
    DBOS(
        config=DBOSConfig(
            name=APPLICATION,
            system_database_url=url,
            executor_id=EXECUTOR,
            application_version=VERSION,
            log_level="WARNING",
        )
    )

    # DBOS would give up a workflow after a number of recoveries; the store counts those that led nowhere.
    @DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)
    def compress(job_id: str, attempt: int) -> None:
        at_work.append(job_id)
        try:
            with about_job(job_id):
                _execute(place, job_id, attempt)
        finally:
            at_work.remove(job_id)

    DBOS.launch()
    DBOS.register_queue(QUEUE, global_concurrency=1, polling_interval_sec=QUEUE_POLL_S)


def _execute(place: Workplace, job_id: str, attempt: int) -> None:
    try:
        execute(place, job_id, attempt)
    except Exception:  # the store itself fails: DBOS would take the job for finished
        log.exception("job %s has to be taken up again by the next worker", job_id)
        place.record(_end_process)


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
    """`python -m server.worker.work HOME`: what `shrinkml serve` starts."""
    parser = argparse.ArgumentParser(prog="python -m server.worker.work", description=__doc__)
    parser.add_argument("home", type=Path, help="the server's home folder")
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
        data_roots=arguments.data_root,
        limits=arguments.limits,
    )


if __name__ == "__main__":
    main()
