"""In a process of its own, because it ends all its descendants."""

import os
import subprocess
import sys

from server.worker.processes import descendants

PROGRAM = '''
import os, subprocess, sys, time
from server.worker.processes import adopt_orphans, descendants, end_descendants

adopt_orphans()
deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
leave = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, '-c', {deaf!r}], start_new_session=True, stdout=subprocess.DEVNULL).pid)
"""
orphan = int(subprocess.run([sys.executable, "-c", leave], stdout=subprocess.PIPE, text=True).stdout)
child = subprocess.Popen([sys.executable, "-c", deaf])
assert {orphan, child.pid} == set(descendants(os.getpid())), "both are ours"
end_descendants()
assert not descendants(os.getpid())
print("gone", orphan, child.pid)
'''


def test_children_and_the_orphans_that_they_left_are_ended():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.stdout.startswith("gone"), run.stderr


def test_descendants_are_children_and_their_children():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        while not descendants(child.pid):
            pass
        assert {child.pid, *descendants(child.pid)} <= set(descendants(os.getpid()))
        child.communicate(b"\n")
    assert child.pid not in descendants(os.getpid())


BURYING = """
import os, subprocess, sys, time
from server.worker.processes import MOURNING_S, OrphanReaper, adopt_orphans, descendants

adopt_orphans()
leave = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'pass'], stdout=subprocess.DEVNULL).pid)"
orphan = int(subprocess.run([sys.executable, "-c", leave], stdout=subprocess.PIPE, text=True).stdout)
own = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])

def is_dead(pid):
    return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "Z"

while not (is_dead(orphan) and is_dead(own.pid)):
    pass
reaper = OrphanReaper()
reaper.look(0.0)
reaper.look(MOURNING_S - 0.1)
assert own.wait() == 7, "who started a process is told how it ended"
assert descendants(os.getpid()) == [orphan]
reaper.look(MOURNING_S)
assert descendants(os.getpid()) == []
print("buried")
"""


def test_the_dead_that_nobody_waits_for_are_buried_and_others_are_left_to_who_started_them():
    run = subprocess.run([sys.executable, "-c", BURYING], capture_output=True, text=True)
    assert run.stdout == "buried\n", run.stderr
