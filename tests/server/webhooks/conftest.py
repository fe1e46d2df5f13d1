"""Receivers, and endpoints for them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest
import sqlalchemy as sa

from server.webhooks.endpoints import Endpoint, new_endpoint
from server.webhooks.sql_endpoints import SqlEndpoints
from server.webhooks.targets import Targets
from tests.server.receiver import PATIENCE_S, Receiver, receiving


@pytest.fixture
def receivers() -> Iterator[Callable[[], Receiver]]:
    """Starts receivers."""
    with ExitStack() as started:
        yield lambda: started.enter_context(receiving())


@pytest.fixture
def receiver(receivers) -> Receiver:
    return receivers()


@pytest.fixture
def closed_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def here() -> Targets:
    """Targets to which this machine belongs."""
    return Targets([ip_network("127.0.0.0/8")])


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest) -> sa.Engine:
    return request.getfixturevalue(request.param)


@pytest.fixture
def endpoints(engine: sa.Engine) -> SqlEndpoints:
    return SqlEndpoints(engine)


@pytest.fixture
def register(endpoints) -> Callable[..., Endpoint]:
    """Registers an address."""

    def register(url: str, owner: str | None = None) -> Endpoint:
        endpoint = new_endpoint(url, owner)
        endpoints.add(endpoint, most=9)
        return endpoint

    return register


def wait_for(condition: Callable[[], object]):
    """Return what `condition` says as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
    return value
