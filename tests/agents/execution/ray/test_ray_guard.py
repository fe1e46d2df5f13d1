import os
import subprocess
import sys
import time

import pytest

from agents.execution.ray.ray_guard import PREFIX, clear, guarded_folder, processes_using, remove_stale

HOLDER = "import sys, time; held = open(sys.argv[1], 'w'); print('held', flush=True); time.sleep(60)"


@pytest.fixture
def holder(tmp_path):
    """A process that has a file in tmp_path open."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_processes_are_found_by_the_files_that_they_hold(tmp_path, holder):
    assert processes_using(tmp_path) == [holder.pid]
    with (tmp_path / "mine").open("w"):
        assert set(processes_using(tmp_path)) == {holder.pid, os.getpid()}


def test_a_folder_goes_with_its_users_except_the_spared_one(tmp_path, holder):
    with (tmp_path / "mine").open("w"):
        clear(tmp_path, spared=os.getpid())
    assert holder.wait() == -9
    assert not tmp_path.exists()


def test_a_guarded_folder_is_gone_when_the_block_ends():
    with guarded_folder() as folder:
        (folder / "log").write_text("something")
    assert not folder.exists()


def test_a_guarded_folder_is_gone_when_its_process_is_killed():
    program = "import time; from agents.execution.ray.ray_guard import guarded_folder; g = guarded_folder(); "
    program += "print(g.__enter__(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        folder = process.stdout.readline().strip()
        assert os.path.isdir(folder)
        process.kill()
    deadline = time.monotonic() + 240
    while os.path.isdir(folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_folders_that_lost_their_guard_are_removed_unless_young_or_in_use(tmp_path):
    old, young, used = (tmp_path / f"{PREFIX}{name}" for name in ("old", "young", "used"))
    for folder in (old, young, used):
        folder.mkdir()
    with (used / "log").open("w"):
        for folder in (old, used):
            os.utime(folder, (0, 0))
        remove_stale(tmp_path, older_than_s=3600)
    assert sorted(tmp_path.iterdir()) == [used, young]
