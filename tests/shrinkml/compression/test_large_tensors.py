import subprocess
import sys

# Large tensors, and small ones that keep the heap from shrinking once they are gone.
HOLES = """
import re
from pathlib import Path
import torch
from shrinkml.compression.large_tensors import LARGE_BYTES, large_tensors_apart

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

def left_mb():
    before = resident_mb()
    pairs = [(torch.ones(LARGE_BYTES // 2), torch.ones(8)) for _ in range(100)]
    small = [small for _, small in pairs]
    full_mb = resident_mb() - before
    del pairs
    assert all(float(one.sum()) == 8.0 for one in small)
    return full_mb, resident_mb() - before

with large_tensors_apart():
    print(*left_mb())
print(*left_mb())
"""


def test_freed_tensors_leave_no_holes_and_afterwards_the_heap_keeps_them_as_before():
    run = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    (full_mb, left_mb), (_, left_afterwards_mb) = (map(float, line.split()) for line in run.stdout.splitlines())
    assert full_mb > 190
    assert left_mb < 20
    assert left_afterwards_mb > 100
