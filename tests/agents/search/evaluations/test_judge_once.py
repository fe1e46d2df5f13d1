import logging
import threading

from agents.search.evaluations import judge_once
from agents.search.evaluations.evaluation_store import PlanPart
from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.memory_evaluations import MemoryEvaluations
from agents.search.evaluations.process_identity import ProcessIdentity
from tests.agents.search.evaluations.contract import ERRORS, PLAN, hear, never


def test_a_part_of_a_plan_is_evaluated_once_and_then_remembered():
    store = MemoryEvaluations()
    assert judged_once(hear, store, "model")(PLAN, 0) == ERRORS
    assert judged_once(never, store, "model")(PLAN, 0) == ERRORS
    assert store.get(PlanPart("model", PLAN, 1)) is None
    assert store.evaluations_made("model") == {(PLAN.digest, 0): 1}


def test_contexts_do_not_share_results():
    store = MemoryEvaluations()
    judged_once(hear, store, "model a")(PLAN, 0)
    assert store.get(PlanPart("model b", PLAN, 0)) is None
    assert judged_once(lambda plan, part: (5,), store, "model b")(PLAN, 0) == (5,)


class Renewals(MemoryEvaluations):
    """Counts renewals; the first one fails."""

    def __init__(self):
        super().__init__()
        self.n, self.enough = 0, threading.Event()

    def renew(self, asked, owner):
        self.n += 1
        if self.n == 1:
            raise ConnectionError("nobody answers")
        assert owner == ProcessIdentity.of_this_process()
        super().renew(asked, owner)
        self.enough.set()


def test_a_claim_is_renewed_for_as_long_as_its_evaluation_takes(monkeypatch, caplog):
    monkeypatch.setattr(judge_once, "RENEWAL_S", 0.01)
    store = Renewals()

    def long(plan, part):
        assert store.enough.wait(10.0)
        return ERRORS

    with caplog.at_level(logging.WARNING):
        assert judged_once(long, store, "model")(PLAN, 0) == ERRORS
    assert "the claim of part 0" in caplog.text
    assert store.n >= 2, "one that failed is not the last"
    assert not [thread for thread in threading.enumerate() if thread.name == "renew-claim"]
