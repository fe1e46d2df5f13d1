"""What only the store in memory is like; its contract is tested in test_job_store.py."""

from server.stores.memory_store import MemoryJobStore


def test_two_stores_share_nothing(spec):
    first, second = MemoryJobStore(), MemoryJobStore()
    first.submit(spec, max_queued=1)
    assert len(first.page(limit=9)) == 1
    assert second.page(limit=9) == []
