import dataclasses
import os
import subprocess
import sys

from agents.search.evaluations.process_identity import ProcessIdentity


def start_child():
    code = (
        "from agents.search.evaluations.process_identity import ProcessIdentity as P; me = P.of_this_process();"
        "print(me.host, flush=True); print(me.pid, me.started, flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    host, numbers = child.stdout.readline().decode().strip(), child.stdout.readline().split()
    return child, ProcessIdentity(host, *map(int, numbers))


def test_this_process_is_local_and_alive():
    me = ProcessIdentity.of_this_process()
    assert me.pid == os.getpid()
    assert me.is_local
    assert me.is_alive()


def test_a_killed_child_is_dead_even_before_its_parent_has_noticed():
    child, identity = start_child()
    with child:
        assert identity.is_alive()
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie from now on
        assert not identity.is_alive()
    assert not identity.is_alive()


def test_a_later_process_of_the_same_number_is_another_one():
    me = ProcessIdentity.of_this_process()
    assert not dataclasses.replace(me, started=me.started - 1).is_alive()


def test_a_process_of_another_host_is_not_local():
    assert not dataclasses.replace(ProcessIdentity.of_this_process(), host="elsewhere").is_local
