import subprocess
import sys

# Many small tensors keep the heap from shrinking after the large ones between them are gone.
HOLES = """
import re, sys
from pathlib import Path
import torch
from shrinkml.freed_memory import give_back

def resident_mb():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

before = resident_mb()
large, small = [], []
for _ in range(400):
    large.append(torch.ones(2**16))  # 256 KB, after the first of them was freed still from the heap
    small.append(torch.ones(8))
full = resident_mb()
large.clear()
held = resident_mb()
give_back()
print(full - before, held - before, resident_mb() - before)
assert all(float(one.sum()) == 8.0 for one in small)
"""


def test_holes_that_large_tensors_left_between_small_ones_go_back_to_the_system():
    environment = {"MALLOC_MMAP_THRESHOLD_": str(2**20)}  # so that they lie on the heap
    run = subprocess.run([sys.executable, "-c", HOLES], env=environment, capture_output=True, text=True, check=True)
    full_mb, held_mb, left_mb = map(float, run.stdout.split())
    assert full_mb > 90
    assert held_mb > 50, "without it, the heap keeps them"
    assert left_mb < 20
