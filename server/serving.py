"""The server process: HTTP in front, a worker beside it, both ended together; or either of them alone."""

import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import uvicorn

from server.artefacts.folder_artefacts import FolderArtefacts
from server.auth.home_tokens import has_tokens
from server.auth.request_rates import RequestRates
from server.auth.sql_tokens import SqlTokens
from server.home import (
    artefacts_folder,
    clear_job,
    database,
    jobs_folder,
    pulse,
    require_space,
    server_log,
    sole_user,
    worker_log,
)
from server.http.app import create_app
from server.http.connections import bounded
from server.http.dependencies import Services, SubmissionRules
from server.http.turnstile import Turnstile
from server.limits import GB
from server.punctual_server import PunctualServer
from server.service_log import logging_to
from server.settings import Settings, bracketed, check_protected, check_shared
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.uploads.errands import Errands
from server.uploads.uploads import uploads_in
from server.webhooks.outbox import SqlOutbox
from server.webhooks.sender import Sender
from server.webhooks.sql_endpoints import SqlEndpoints
from server.webhooks.targets import Targets
from server.worker.publishing import adopt_earlier_runs
from server.worker.supervisor import Supervisor
from server.worker.worker_command import command_of, environment_of

BACKLOG = 256  # connections that may wait to be taken
GRACE_S = 3  # for requests under way when the server stops
LEAVE_S = 15.0  # until it ends without them; whoever stops it is promised an end within twenty seconds
TURN_S = (
    1e-4  # threads at work take turns so often; at Python's own 5 ms, what takes connections waits for each of them
)


def serve(settings: Settings, *, on_ready: Callable[[str], None], worker: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM; a job under way goes on at the next start.

    To serve is all that a process does that calls this: it is ended LEAVE_S after the signal where it still runs then.
    The worker is the first to end: it takes no more jobs, and has nothing to save, since what a job has finished
    (stages, epochs of training, evaluations) is on the disk already.

    Args:
        settings: the operator's choices.
        on_ready: called with the URL once requests are answered.
        worker: the command of the worker process; Python's own worker module unless given.

    Raises:
        HomeInUseError: another server works in this home.
        ConfigError: other machines would reach the service, which has no tokens, or nobody would run its jobs.
        OSError: the address cannot be had.
    """
    # uvicorn raises the signal that ended it once more; SIGTERM would end us before the worker.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has processes in the background ignore it
    check_protected(settings, has_tokens=has_tokens(settings.database_url))
    if not settings.worker:
        check_shared(settings)
    limits, files = settings.limits, settings.jobs_files
    with (
        sole_user(settings.home, "server") as lock,
        logging_to(server_log(settings.home), settings.log_format),
        _listening(settings) as listener,
    ):
        artefacts = FolderArtefacts(artefacts_folder(files))
        adopt_earlier_runs(jobs_folder(files), artefacts)
        engine = connect(settings.database_url)
        if settings.database is None:
            lock.watch(database(settings.home))
        uploads = uploads_in(
            files,
            engine,
            limits,
            require_space=lambda n_bytes: require_space(files, limits.free_gb + n_bytes / GB),
            soon=Errands("checks of uploads"),
        )
        uploads.recover()
        targets = Targets(settings.webhook_networks)
        sender = Sender(SqlOutbox(engine), targets)
        supervisor = supervisor_of(settings, worker) if settings.worker else None
        services = Services(
            store=SqlJobStore(engine),
            artefacts=artefacts,
            uploads=uploads,
            tokens=SqlTokens(engine),
            webhooks=SqlEndpoints(engine),
            rules=SubmissionRules(settings.data_roots, limits, settings.allow_hub),
            worker=supervisor,
            stopping=lambda: server.should_exit,
            check_home=lock.require_home,
            check_space=partial(require_space, files, limits.free_gb),
            clear_stages=partial(clear_job, files),
            targets=targets,
            admissions=Turnstile(limits.admissions),
            streams=Turnstile(limits.streams, most_of_one=limits.streams_per_owner),
            rates=RequestRates(limits.requests_per_minute),
        )
        config = uvicorn.Config(
            create_app(
                services,
                limits=limits,
                allowed_hosts=(settings.host, *settings.allowed_hosts),
                allowed_origins=settings.allowed_origins,
            ),
            http=bounded(limits.connections, limits.request_s),
            ws="none",
            server_header=False,
            log_config=None,  # its messages go where ours do
            log_level=logging.WARNING,
            timeout_graceful_shutdown=GRACE_S,
            lifespan="off",
        )
        server = PunctualServer(config, on_stop=supervisor.dismiss if supervisor else lambda: None, leave_s=LEAVE_S)
        sys.setswitchinterval(TURN_S)
        if supervisor:
            supervisor.start()
        sender.start()
        try:
            with suppress(KeyboardInterrupt):
                host, port = listener.getsockname()[:2]
                on_ready(f"http://{bracketed(host)}:{port}")
                server.run(sockets=[listener])
        finally:
            sender.stop()
            if supervisor:
                supervisor.stop()
            engine.dispose()


def keep_working(settings: Settings, *, on_ready: Callable[[], None], worker: Sequence[str] | None = None) -> None:
    """Run jobs, without a server, until SIGINT or SIGTERM; a job under way goes on at the next start, or elsewhere.

    Args:
        settings: the operator's choices; those of requests are passed over.
        on_ready: called once a worker is started; from then on it is started again when it dies.
        worker: the command of the worker process; Python's own worker module unless given.

    Raises:
        HomeInUseError: another server or worker works in this home.
        ConfigError: the database is nobody else's.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    check_shared(settings)
    with sole_user(settings.home, "server"), logging_to(server_log(settings.home), settings.log_format):
        connect(settings.database_url).dispose()  # a database that cannot be had is told here, not in the worker's log
        supervisor = supervisor_of(settings, worker)
        supervisor.start()
        try:
            with suppress(KeyboardInterrupt):
                on_ready()
                threading.Event().wait()
        finally:
            supervisor.stop()


def supervisor_of(settings: Settings, command: Sequence[str] | None = None) -> Supervisor:
    """Return what will keep a worker running with `settings`, by its own command unless another is given."""
    return Supervisor(
        command or command_of(settings),
        worker_log(settings.home),
        pulse(settings.home),
        environment=environment_of(settings),
        silence_s=settings.limits.silence_s,
    )


def _listening(settings: Settings) -> socket.socket:
    """Return a socket bound before anything else starts: a port in use is found out at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
