import subprocess
import sys

from server.memory import INTERVAL_S, peak_memory

MIB = 2**20
HOLD = "held = bytearray(300 * 2**20); held[::4096] = b'x' * len(held[::4096]); input()"


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
    subprocess.run([sys.executable, "-c", f"import time; time.sleep({2 * INTERVAL_S})"], check=True)
    assert peak.bytes == before
