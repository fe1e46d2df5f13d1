"""The contract of every evaluation store: a test class per implementation inherits it and gives a fixture `store`."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.search.evaluations.claim import LEASE_S
from agents.search.evaluations.evaluation_store import PlanPart
from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.process_identity import ProcessIdentity
from shrinkml.plan.compression_plan import CompressionPlan

PLAN = CompressionPlan.of_ranks({"encoder": 8})
ERRORS = (0, 2, 1)  # in the utterances of a part
ASKED = PlanPart("model", PLAN, 0)
ME = ProcessIdentity.of_this_process()
DEAD = dataclasses.replace(ME, started=1)  # an earlier process of the same number
ELSEWHERE = dataclasses.replace(ME, host="elsewhere")


def hear(plan, part):
    return ERRORS


def never(plan, part):
    raise AssertionError(f"part {part} of {plan} was evaluated again")


class EvaluationStoreContract:
    """What holds for each of them; `expire(store, seconds)` makes its claims so much older."""

    def test_what_is_stored_is_known_and_a_first_result_stays(self, store):
        assert store.get(ASKED) is None
        assert store.claim(ASKED, ME)
        store.store(ASKED, ME, ERRORS)
        assert store.get(ASKED) == ERRORS
        assert not store.claim(ASKED, ELSEWHERE), "there is nothing to judge"
        store.store(ASKED, ELSEWHERE, (9, 9, 9))
        assert store.get(ASKED) == ERRORS
        assert store.evaluations_made("model") == {(PLAN.digest, 0): 2}

    def test_parts_plans_and_contexts_are_told_apart(self, store):
        others = [
            dataclasses.replace(ASKED, context="another"),
            dataclasses.replace(ASKED, plan=CompressionPlan()),
            dataclasses.replace(ASKED, part=1),
        ]
        store.store(ASKED, ME, ERRORS)
        assert [store.get(other) for other in others] == [None] * 3
        assert all(store.claim(other, ME) for other in others)
        assert store.evaluations_made("another") == {}

    def test_a_claim_is_granted_once_until_its_owner_gives_it_back(self, store):
        assert store.claim(ASKED, ME)
        assert not store.claim(ASKED, ME)
        assert not store.claim(ASKED, ELSEWHERE)
        store.release(ASKED, ELSEWHERE)
        assert not store.claim(ASKED, ELSEWHERE), "nobody gives back what another one holds"
        store.release(ASKED, ME)
        assert store.claim(ASKED, ELSEWHERE)

    def test_of_many_who_claim_at_once_one_is_granted(self, store):
        claimants = [dataclasses.replace(ELSEWHERE, pid=pid) for pid in range(8)]
        parts = [dataclasses.replace(ASKED, part=part) for part in range(10)]
        together = threading.Barrier(len(claimants))

        def claim_all(claimant):
            together.wait()
            return [store.claim(part, claimant) for part in parts]

        with ThreadPoolExecutor(len(claimants)) as pool:
            granted = list(pool.map(claim_all, claimants))
        assert [sum(of_part) for of_part in zip(*granted, strict=True)] == [1] * len(parts)

    def test_of_many_who_take_over_at_once_one_is_granted(self, store):
        assert store.claim(ASKED, DEAD)
        claimants = [dataclasses.replace(ELSEWHERE, pid=pid) for pid in range(8)]
        together = threading.Barrier(len(claimants))

        def claim(claimant):
            together.wait()
            return store.claim(ASKED, claimant)

        with ThreadPoolExecutor(len(claimants)) as pool:
            assert sum(pool.map(claim, claimants)) == 1

    def test_the_claim_of_a_dead_process_is_taken_over_at_once(self, store):
        assert store.claim(ASKED, DEAD)
        start = time.monotonic()
        assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS
        assert time.monotonic() - start < 5.0

    def test_who_was_taken_for_dead_ends_no_claim_but_its_own(self, store):
        assert store.claim(ASKED, DEAD)
        assert store.claim(ASKED, ME)
        store.release(ASKED, DEAD)
        assert not store.claim(ASKED, ELSEWHERE)

    def test_the_claim_of_another_machine_is_honoured_until_its_lease_runs_out(self, store):
        assert store.claim(ASKED, ELSEWHERE)
        self.expire(store, LEASE_S - 30.0)
        assert not store.claim(ASKED, ME)
        store.renew(ASKED, ELSEWHERE)
        self.expire(store, LEASE_S - 30.0)
        assert not store.claim(ASKED, ME), "it was renewed"
        self.expire(store, 30.0)
        assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS

    def test_a_claim_that_was_taken_over_is_not_renewed(self, store):
        gone = dataclasses.replace(ELSEWHERE, pid=0)
        assert store.claim(ASKED, gone)
        self.expire(store, LEASE_S)
        assert store.claim(ASKED, ELSEWHERE)
        self.expire(store, LEASE_S)
        store.renew(ASKED, gone)
        assert store.claim(ASKED, ME)

    @pytest.mark.parametrize("error", [RuntimeError("no memory"), KeyboardInterrupt()])
    def test_an_evaluation_that_fails_leaves_the_plan_free(self, store, error):
        def fail(plan, part):
            raise error

        with pytest.raises(type(error)):
            judged_once(fail, store, "model")(PLAN, 0)
        assert store.evaluations_made("model") == {}
        assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS

    def test_who_comes_second_waits_for_the_result_of_the_first(self, store):
        started, finish, answers = threading.Event(), threading.Event(), []

        def slow(plan, part):
            started.set()
            finish.wait()
            return ERRORS

        first = threading.Thread(target=lambda: answers.append(judged_once(slow, store, "model")(PLAN, 0)))
        second = threading.Thread(target=lambda: answers.append(judged_once(never, store, "model")(PLAN, 0)))
        first.start()
        started.wait()
        second.start()
        second.join(0.2)
        assert second.is_alive()
        finish.set()
        first.join()
        second.join()
        assert answers == [ERRORS, ERRORS]
