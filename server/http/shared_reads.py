"""Reads that many ask for at the same moment, made once for all of them."""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from fastapi.concurrency import run_in_threadpool

T = TypeVar("T")


class SharedReads:
    """The reads that are under way in threads; only the event loop's own thread may ask."""

    def __init__(self) -> None:
        """Nothing is being read."""
        self._under_way: dict[Hashable, asyncio.Task[Any]] = {}

    async def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """Return what `read` returns, or what the read for the same `key` does that is under way already."""
        task: asyncio.Task[T] | None = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(run_in_threadpool(read))
            task.add_done_callback(lambda _: self._under_way.pop(key))
        return await asyncio.shield(task)  # who goes away takes nothing from the others
