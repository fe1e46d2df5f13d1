import subprocess
import sys

import pytest

from server.worker import memory
from server.worker.memory import peak_memory

MIB = 2**20
HOLD = "held = bytearray(300 * 2**20); held[::4096] = b'x' * len(held[::4096]); input()"


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr(memory, "INTERVAL_S", 0.1)


def test_what_a_child_held_counts_after_it_has_ended():
    with peak_memory() as peak:
        alone = peak.bytes
        with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE) as child:
            while peak.bytes < alone + 250 * MIB:
                assert child.poll() is None
            child.communicate(b"\n")
    assert alone > 10 * MIB
    assert alone + 250 * MIB < peak.bytes < alone + 800 * MIB


def test_the_watch_ends_with_the_block():
    with peak_memory() as peak:
        pass
    before = peak.bytes
    held = bytearray(200 * MIB)
    held[::4096] = b"x" * len(held[::4096])
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"], check=True)
    assert peak.bytes == before
