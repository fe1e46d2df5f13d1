"""An artefact store of every kind."""

from collections.abc import Callable
from pathlib import Path

import pytest

from server.artefacts.artefact_store import ArtefactStore
from server.artefacts.folder_artefacts import FolderArtefacts
from server.artefacts.memory_artefacts import MemoryArtefacts

STORES: dict[str, Callable[[Path], ArtefactStore]] = {
    "memory": lambda _: MemoryArtefacts(),
    "folder": lambda path: FolderArtefacts(path / "artefacts"),
}


@pytest.fixture(params=STORES)
def artefacts(request: pytest.FixtureRequest, tmp_path: Path) -> ArtefactStore:
    return STORES[request.param](tmp_path)
