"""A job, its data, and the services that a server is made of."""

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
import soundfile
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from safetensors.numpy import save_file

from server.artefacts.folder_artefacts import FolderArtefacts
from server.auth.sql_tokens import SqlTokens
from server.cli.main import main
from server.home import artefacts_folder, clear_job, database_url
from server.http.app import create_app
from server.http.connections import bounded
from server.http.dependencies import Services, SubmissionRules
from server.limits import DEFAULT_LIMITS, Limits
from server.stores.schema import connect
from server.stores.sql_store import SqlJobStore
from server.uploads.uploads import uploads_in
from server.webhooks.sql_endpoints import SqlEndpoints
from shrinkml.job import JobSpec, parse_job
from shrinkml.speech.manifest import Utterance, write_manifest
from tests.server.postgres_databases import fresh_database

RATE_HZ = 16_000


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database in which nothing is, but all tables are."""
    home = tmp_path_factory.mktemp("home")
    connect(database_url(home)).dispose()
    return home


@pytest.fixture
def sqlite(tmp_path: Path, empty_home: Path) -> Iterator[sa.Engine]:
    shutil.copytree(empty_home, tmp_path, dirs_exist_ok=True)
    engine = connect(database_url(tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def empty_postgres() -> Iterator[str]:
    """The name of a database of Postgres in which nothing is, but all tables are."""
    with fresh_database() as url:
        connect(url).dispose()
        yield str(sa.make_url(url).database)


@pytest.fixture
def postgres(empty_postgres: str) -> Iterator[sa.Engine]:
    with fresh_database(empty_postgres) as url:
        engine = connect(url)
        yield engine
        engine.dispose()


@pytest.fixture
def engine(sqlite: sa.Engine) -> sa.Engine:
    return sqlite


@pytest.fixture
def store(engine: sa.Engine) -> SqlJobStore:
    return SqlJobStore(engine)


@pytest.fixture
def spec() -> JobSpec:
    return parse_job(
        {"model": "/m", "data": {"dev": "/d", "test": "/t"}, "goal": {"compression_ratio": 3}, "name": "tiny"}
    )


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three manifests of noise, two utterances each, and a folder whose files look like a model."""
    folder = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0)
    for split in ("train", "dev", "test"):
        utterances = []
        for i in range(2):
            audio = folder / f"{split}{i}.wav"
            soundfile.write(audio, noise.normal(0, 0.1, RATE_HZ // 2), RATE_HZ)
            utterances.append(Utterance(audio, 0.5, "turn on the light", speaker=f"{split}{i}"))
        write_manifest(folder / f"{split}.jsonl", utterances)
    model = folder / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"format": "shrinkml/1", "family": "las"}))
    (model / "vocabulary.txt").write_text("light\n")
    save_file({"weight": np.zeros((3, 4), np.float32)}, model / "model.safetensors")
    return folder


@pytest.fixture
def request_body() -> dict[str, object]:
    """A job whose paths lie in `data_folder`."""
    return {
        "name": "tiny",
        "model": "model",
        "data": {"train": "train.jsonl", "dev": "dev.jsonl", "test": "test.jsonl"},
        "goal": {"compression_ratio": 3.0},
    }


class AbsentWorker:
    pid = None
    restarts = 0
    silent_s = None


@pytest.fixture
def artefacts(tmp_path: Path) -> FolderArtefacts:
    return FolderArtefacts(artefacts_folder(tmp_path))


@pytest.fixture
def services(engine: sa.Engine, artefacts: FolderArtefacts, data_folder: Path, tmp_path: Path) -> Services:
    return Services(
        store=SqlJobStore(engine),
        artefacts=artefacts,
        uploads=uploads_in(tmp_path, engine),
        tokens=SqlTokens(engine),
        webhooks=SqlEndpoints(engine),
        rules=SubmissionRules((data_folder,), Limits(jobs_waiting=2)),
        worker=AbsentWorker(),
        stopping=lambda: False,
        clear_stages=partial(clear_job, tmp_path),
    )


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, FastAPI]]:
    """The address of a server in this process, and its application, whose services each test brings."""
    app = create_app(services=None)
    listener = socket.create_server(("127.0.0.1", 0))
    http = bounded(DEFAULT_LIMITS.connections, DEFAULT_LIMITS.request_s)
    server = uvicorn.Server(uvicorn.Config(app, http=http, ws="none", log_level="critical", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", app
    server.should_exit = True
    thread.join()


@pytest.fixture
def url(server: tuple[str, FastAPI], services: Services) -> str:
    """The address of a server with no worker behind its queue."""
    url, app = server
    app.state.services = services
    return url


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=120, verify=False) as client:  # plain HTTP: no certificates to read
        yield client


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def shrinkml(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs the command line in this process: `shrinkml("status", "--json")`."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["shrinkml", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return Outcome(int(end.value.code or 0), *capsys.readouterr())

    return run
