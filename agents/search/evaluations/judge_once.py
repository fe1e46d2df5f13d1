"""No part of a plan is ever judged twice, however many processes ask for it.

A process claims a part of a plan before it judges it; another one that wants the same waits for the result.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agents.search.evaluations.claim import RENEWAL_S
from agents.search.evaluations.evaluation_store import EvaluationStore, PlanPart
from agents.search.evaluations.process_identity import ProcessIdentity
from agents.search.racing import Errors, PartEvaluator
from shrinkml.plan.compression_plan import CompressionPlan

log = logging.getLogger(__name__)

POLL_S = 0.05  # a small part of an evaluation


def judged_once(evaluate: PartEvaluator, store: EvaluationStore, context: str) -> PartEvaluator:
    """`evaluate` with a memory: each part of a plan is judged once, by whichever process asks first.

    Args:
        evaluate: counts the errors.
        store: what all those processes share.
        context: everything besides plan and part that decides the errors.
    """

    def evaluate_once(plan: CompressionPlan, part: int) -> Errors:
        asked, me = PlanPart(context, plan, part), ProcessIdentity.of_this_process()
        while (errors := store.get(asked)) is None:
            if store.claim(asked, me):
                return _judged(evaluate, store, asked, me)
            time.sleep(POLL_S)
        return errors

    return evaluate_once


def _judged(evaluate: PartEvaluator, store: EvaluationStore, asked: PlanPart, me: ProcessIdentity) -> Errors:
    try:
        with _renewed(store, asked, me):
            errors = evaluate(asked.plan, asked.part)
        store.store(asked, me, errors)
    except BaseException:
        store.release(asked, me)
        raise
    return errors


@contextmanager
def _renewed(store: EvaluationStore, asked: PlanPart, me: ProcessIdentity) -> Iterator[None]:
    """The claim of `asked`, renewed by a thread of its own while what is inside works."""
    done = threading.Event()

    def keep() -> None:
        while not done.wait(RENEWAL_S):
            try:
                store.renew(asked, me)
            except Exception:
                log.warning("the claim of part %d of %s is not renewed", asked.part, asked.plan.digest, exc_info=True)

    keeper = threading.Thread(target=keep, name="renew-claim", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
