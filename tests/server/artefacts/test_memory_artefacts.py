"""What only the store in memory is like; its contract is tested in test_artefact_store.py."""

from server.artefacts.artefact_store import ArtefactKind
from server.artefacts.memory_artefacts import MemoryArtefacts


def test_two_stores_share_nothing():
    first, second = MemoryArtefacts(), MemoryArtefacts()
    first.put("job-1", "a", ArtefactKind.REPORT, lambda stream: stream.write(b"x"))
    assert len(first.entries("job-1")) == 1
    assert second.entries("job-1") == ()
