"""A run's stop, on its way to workers on any machine: they ask the actor that keeps their evaluations.

Tune waits until a worker reports, and kills it after 15 s: one that judges a large plan must hear of a stop itself.
"""

import time
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from shrinkml.events import ShouldStop

ASK_AGAIN_S = 0.5  # an answer takes a millisecond, and so does judging a part of a small plan
MOST_WAIT_FOR_ANSWER_S = 30.0  # of an actor that is busy, or is being started again


@dataclass(frozen=True, slots=True)
class StopSignal:
    """The stop of one run: its driver gives it, its workers hear of it.

    Attributes:
        keeper: handle of the actor, a Keeper.
        run: a name that no other run has.
    """

    keeper: Any  # ray.actor.ActorHandle, which is not typed
    run: str

    def give(self) -> None:
        """Tell the workers that ask from now on; does not wait for them."""
        self.keeper.stop.remote(self.run)

    def given(self) -> bool:
        """True once it was given; False also where the actor does not answer: Tune then ends the worker."""
        try:
            return bool(ray.get(self.keeper.stopped.remote(self.run), timeout=MOST_WAIT_FOR_ANSWER_S))
        except (RayActorError, GetTimeoutError):
            return False


def now_and_then(ask: ShouldStop, *, every_s: float = ASK_AGAIN_S) -> ShouldStop:
    """`ask`, asked at most every `every_s` seconds; in between, and after it was True, the last answer."""
    asked_at_s, answer = -every_s, False

    def should_stop() -> bool:
        nonlocal asked_at_s, answer
        now = time.monotonic()
        if not answer and now - asked_at_s >= every_s:
            asked_at_s, answer = now, ask()
        return answer

    return should_stop
