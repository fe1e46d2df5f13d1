"""One Ray for all tests of this folder: its start takes seconds."""

from collections.abc import Iterator

import pytest

from agents.execution.ray.ray_executor import RayExecutor


@pytest.fixture(scope="package")
def ray_executor() -> Iterator[RayExecutor]:
    """Two workers on this machine."""
    executor = RayExecutor(workers=2)
    yield executor
    executor.close()
