import subprocess
import sys

import pytest

from server.worker.folder_lock import locked

HOLD = """
import sys, time
from pathlib import Path
from server.worker.folder_lock import locked
with locked(Path(sys.argv[1]), meanwhile=lambda: None):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_folder_is_one_workers_until_its_process_is_gone_however_that_happens(tmp_path):
    folder, looks = tmp_path / "jobs" / "tiny-1", []
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"

        def look() -> None:
            looks.append(None)
            if len(looks) == 2:
                holder.kill()

        with locked(folder, meanwhile=look):
            assert len(looks) >= 2
            assert holder.wait() == -9


def test_who_waits_for_a_folder_gives_up_when_it_is_told_to(tmp_path):
    with (
        locked(tmp_path, meanwhile=pytest.fail),
        pytest.raises(ZeroDivisionError),
        locked(tmp_path, meanwhile=lambda: 1 / 0),
    ):
        pytest.fail("it is held already")
