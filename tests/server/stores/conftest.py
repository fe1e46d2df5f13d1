"""A job store of every kind, and the queue that it hands jobs to."""

from collections.abc import Callable

import pytest

from server.jobs.job_state import Job
from server.stores.job_store import JobStore
from server.stores.memory_store import MemoryJobStore
from server.stores.sql_store import SqlJobStore


class Queue(list):
    """Remembers what was handed to the workers; refuses it where it is broken."""

    broken = False

    def put(self, job: Job) -> None:
        if self.broken:
            raise RuntimeError("no queue")
        self.append((job.id, job.attempt))


@pytest.fixture
def queue() -> Queue:
    return Queue()


def in_memory(queue: Queue, request: pytest.FixtureRequest) -> JobStore:
    return MemoryJobStore(queue.put)


def in_sqlite(queue: Queue, request: pytest.FixtureRequest) -> JobStore:
    return SqlJobStore(request.getfixturevalue("engine"), lambda db, job: queue.put(job))


STORES: dict[str, Callable[[Queue, pytest.FixtureRequest], JobStore]] = {"memory": in_memory, "sqlite": in_sqlite}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, queue: Queue) -> JobStore:
    return STORES[request.param](queue, request)
