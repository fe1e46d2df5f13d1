import asyncio
import threading

import pytest

from server.http.shared_reads import SharedReads


class Slow:
    """What is read, of which a read ends when it may."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.n_reads = 0

    def read(self) -> int:
        self.n_reads += 1
        self.may_end.wait()
        return self.n_reads


def test_who_asks_while_the_same_is_read_is_answered_with_it():
    async def ask() -> tuple[list[int], int]:
        reads, slow = SharedReads(), Slow()
        asked = [asyncio.create_task(reads.get("a", slow.read)) for _ in range(20)]
        other = asyncio.create_task(reads.get("b", lambda: 7))
        assert await other == 7, "what is not the same is not waited for"
        slow.may_end.set()
        return await asyncio.gather(*asked), await reads.get("a", slow.read)

    assert asyncio.run(ask()) == ([1] * 20, 2)


def test_who_goes_away_takes_nothing_from_the_others():
    async def ask() -> int:
        reads, slow = SharedReads(), Slow()
        first, second = (asyncio.create_task(reads.get("a", slow.read)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        slow.may_end.set()
        return await second

    assert asyncio.run(ask()) == 1


def test_an_error_is_told_to_all_who_asked_and_not_kept():
    def fail() -> None:
        raise LookupError("no such job")

    async def ask() -> int:
        reads = SharedReads()
        for error in await asyncio.gather(*(reads.get("a", fail) for _ in range(3)), return_exceptions=True):
            with pytest.raises(LookupError, match="no such job"):
                raise error
        return await reads.get("a", lambda: 3)

    assert asyncio.run(ask()) == 3
