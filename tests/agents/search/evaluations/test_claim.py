import dataclasses
import subprocess
import sys
import time

from agents.search.evaluations.claim import LEASE_S, RENEWAL_S, Claim
from agents.search.evaluations.process_identity import ProcessIdentity

ME = ProcessIdentity.of_this_process()


def test_a_claim_from_this_machine_holds_as_long_as_its_process_lives():
    assert not Claim(ME, claimed_at_s=0.0).is_abandoned
    assert Claim(dataclasses.replace(ME, started=ME.started - 1), claimed_at_s=time.time()).is_abandoned
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        claim = Claim.of(dataclasses.replace(ME, pid=child.pid, started=0))
    assert claim.is_abandoned


def test_a_claim_from_another_machine_holds_as_long_as_its_lease():
    elsewhere = dataclasses.replace(ME, host="elsewhere")
    assert not Claim.of(elsewhere).is_abandoned
    assert not Claim(elsewhere, time.time() - LEASE_S + 1.0).is_abandoned
    assert Claim(elsewhere, time.time() - LEASE_S).is_abandoned


def test_a_lease_outlives_renewals_that_are_late():
    assert LEASE_S > 3 * RENEWAL_S
