import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest
import torch

from shrinkml.compression import disk_room
from shrinkml.compression.disk_room import LARGE_BYTES, DiskRoom

MB = 2**20
LARGE = 64 * MB // 4  # numbers


@contextmanager
def files_of_at_most(n_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def all_are_large(monkeypatch):
    monkeypatch.setattr(disk_room, "LARGE_BYTES", 1)


@pytest.mark.usefixtures("all_are_large")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (700, 700)])
def test_what_is_kept_is_an_equal_tensor_of_its_own(tmp_path, shape, dtype):
    tensor = torch.randn(shape, dtype=dtype)
    kept = DiskRoom(tmp_path).keep(tensor)
    expected = tensor.clone()
    tensor.zero_()
    assert torch.equal(kept, expected)
    kept += 1.0
    assert torch.equal(kept, expected + 1.0)
    assert torch.equal(tensor, torch.zeros(shape, dtype=dtype))


@pytest.mark.usefixtures("all_are_large")
def test_columns_first_are_kept_as_they_read(tmp_path):
    tensor = torch.randn(4, 6).T
    assert torch.equal(DiskRoom(tmp_path).keep(tensor), tensor)


MEMORY = f"""
import re, sys
from pathlib import Path
import torch
from shrinkml.compression.disk_room import DiskRoom

def resident_bytes():
    return int(re.search(r"VmRSS:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

room = DiskRoom(Path(sys.argv[1]))
before = resident_bytes()
kept = [room.keep(torch.full(({LARGE},), float(i))) for i in range(3)]
assert resident_bytes() - before < {32 * MB}
assert [float(tensor.sum()) for tensor in kept] == [0.0, {float(LARGE)}, {2.0 * LARGE}]
assert resident_bytes() - before > {160 * MB}
room.leave_memory()
assert resident_bytes() - before < {32 * MB}
assert [float(tensor[-1]) for tensor in kept] == [0.0, 1.0, 2.0]
"""


def test_what_is_kept_takes_no_memory_until_it_is_looked_at_and_then_again_none(tmp_path):
    # In a process of its own: in this one, what other tests left in memory may come and go meanwhile.
    run = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_nothing_lies_in_the_folder_and_the_disk_is_free_again_once_nobody_holds_it(tmp_path):
    room = DiskRoom(tmp_path)
    kept = room.keep(torch.ones(LARGE))
    assert not list(tmp_path.iterdir())
    assert len(room._maps) == 1
    del kept
    assert not room._maps


def test_a_disk_without_room_is_an_error_that_says_how_much_is_needed_and_where(tmp_path):
    room = DiskRoom(tmp_path)
    with files_of_at_most(MB), pytest.raises(OSError, match=rf"another file of 67.1 MB is needed.*{tmp_path.name}"):
        room.keep(torch.ones(LARGE))
    assert torch.equal(room.keep(torch.ones(LARGE)), torch.ones(LARGE))


def test_small_tensors_stay_in_memory_without_a_file(tmp_path):
    room = DiskRoom(tmp_path)
    small, empty = torch.ones(LARGE_BYTES // 4 - 1), torch.ones(0, 5)
    assert room.keep(small) is small
    assert room.keep(empty) is empty
    assert not room._maps
