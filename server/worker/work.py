"""The worker process: takes jobs from the queue and runs them, one at a time.

DBOS gives a job whose worker was killed to the next one, which goes on from the stages that lie finished in the job's
folder. They are no steps of DBOS: it would refuse a job whose stages a later version names otherwise.
The worker can therefore be killed at any time, and that is how it always ends: when its standard input closes, because
the server that started it has stopped or died, it takes its own children with it.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from dbos import DBOS, DBOSConfig

from server.artefacts.folder_artefacts import FolderArtefacts
from server.home import artefacts_folder, database_url, facts, job_folder, sole_user
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.worker.departure import Departure
from server.worker.job_execution import RunJob, StageResult, Workplace, execute
from server.worker.job_queue import APPLICATION, EXECUTOR, QUEUE, VERSION, WORKFLOW
from server.worker.processes import adopt_orphans, end_descendants

QUEUE_POLL_S = 0.25
LOCK_WAIT_S = 30.0  # a worker whose server was killed may take a moment to end
log = logging.getLogger(__name__)


def work(home: Path, run_job: RunJob) -> None:
    """Run the jobs of the server in `home` until standard input closes; never returns.

    Raises:
        HomeInUseError: another worker is at work there and does not end.
    """
    adopt_orphans()
    with sole_user(home, "worker", wait_s=LOCK_WAIT_S):
        departure = Departure()
        place = Workplace(
            store=SqlJobStore(connect(database_url(home))),
            artefacts=FolderArtefacts(artefacts_folder(home)),
            folder_of=partial(job_folder, home),
            run_job=run_job,
            run_stage=partial(_run_stage, departure),
            record=departure.record,
            end_process=_end_process,
        )
        _listen(database_url(home), place)
        log.info("worker %d is ready", os.getpid())
        sys.stdin.read()
        log.info("worker %d ends: its server has stopped or died", os.getpid())
        departure.begin()  # or the job would be recorded as failed when its processes are gone
        end_descendants()
        os._exit(0)  # at once: exit handlers would wait for the job, which goes on at the next start


def _listen(url: str, place: Workplace) -> None:
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
        try:
            execute(place, job_id, attempt)
        except Exception:  # the store itself fails: DBOS would take the job for finished
            log.exception("job %s has to be taken up again by the next worker", job_id)
            place.record(_end_process)

    DBOS.launch()
    DBOS.register_queue(QUEUE, global_concurrency=1, polling_interval_sec=QUEUE_POLL_S)


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
    parser.add_argument("--allow-hub", action="store_true", help="models of the Hugging Face hub may be fetched")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    from agents.pipeline.job_run import run_job

    work(arguments.home, partial(run_job, allow_hub=arguments.allow_hub, cache=facts(arguments.home)))


if __name__ == "__main__":
    main()
