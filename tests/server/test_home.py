import shutil
import subprocess
import sys

import pytest

from server.home import database, require_space, sole_user
from server.service_errors import DiskFullError, HomeInUseError, HomeLostError

HOLD = """
import sys
from pathlib import Path
from server.home import sole_user
with sole_user(Path(sys.argv[1]), "server"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of the role "server"."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_home_has_one_server(tmp_path, holder):
    with (
        pytest.raises(HomeInUseError, match=r"another server works in .*choose another folder with --home"),
        sole_user(tmp_path, "server"),
    ):
        pytest.fail("two servers in one home")


def test_server_and_worker_share_a_home(tmp_path, holder):
    with sole_user(tmp_path, "worker"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path, holder):
    holder.kill()
    with sole_user(tmp_path, "server", wait_s=5.0):
        pass


def test_the_folder_is_made(tmp_path):
    with sole_user(tmp_path / "new" / "home", "server"):
        assert (tmp_path / "new" / "home").is_dir()


@pytest.mark.parametrize("loss", ["removed", "replaced"])
def test_a_home_that_was_removed_or_replaced_is_missed(tmp_path, loss):
    home = tmp_path / "home"
    with sole_user(home, "server") as lock:
        lock.require_home()
        shutil.rmtree(home)
        if loss == "replaced":
            home.mkdir()
            (home / "server.lock").touch()
            (home / "another file, in case the first has the number of the old one").touch()
            if (home / "server.lock").stat().st_ino == lock.inodes[home / "server.lock"]:
                pytest.skip("the file system gives numbers again at once")
        lost = "a file in the folder" if loss == "replaced" else "the folder"
        with pytest.raises(HomeLostError, match=f"^{lost} {home} of this server is gone"):
            lock.require_home()


def test_a_file_that_is_open_is_missed_as_well(tmp_path):
    with sole_user(tmp_path, "server") as lock:
        database(tmp_path).touch()
        lock.watch(database(tmp_path))
        lock.require_home()
        database(tmp_path).unlink()
        with pytest.raises(HomeLostError, match=f"^a file in the folder {tmp_path} of this server is gone"):
            lock.require_home()


def test_as_much_space_as_is_asked_for_is_enough_and_a_byte_less_is_not(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)  # others write there meanwhile
    require_space(tmp_path, usage.free / 10**9)
    with pytest.raises(DiskFullError, match="lower the limit free_gb"):
        require_space(tmp_path, (usage.free + 1) / 10**9)


def test_space_is_asked_for(tmp_path):
    require_space(tmp_path, 0.0)
    with pytest.raises(DiskFullError, match=r"GB are free where the server keeps its files, and it wants 1e\+09"):
        require_space(tmp_path, 1e9)
