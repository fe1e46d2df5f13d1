"""The sender: takes messages out of the outbox and delivers them, beside the server's requests.

It works in the server's process, not in the worker's: a worker does one job at a time with all cores, below the server,
and is ended whenever a job wants it.
"""

import asyncio
import logging
import threading
import time
from datetime import timedelta

import httpcore

from server.jobs.job_state import now
from server.webhooks.outbox import Delivery, DeliveryState, SqlOutbox
from server.webhooks.posting import guarded_pool, post
from server.webhooks.targets import Targets

LOOK_S = 1.0  # between two looks into the outbox
MOST_AT_ONCE = 16  # messages under way
KEPT = timedelta(days=30)  # messages that were settled
FORGET_EVERY_S = 3600.0
NOBODY = "every token of its owner is revoked"
log = logging.getLogger(__name__)


class Sender:
    """Delivers what is in the outbox, from a thread of its own. Any number may be at work on one database."""

    def __init__(self, outbox: SqlOutbox, targets: Targets) -> None:
        """Send nothing yet."""
        self._outbox = outbox
        self._targets = targets
        self._busy: dict[str, asyncio.Task[None]] = {}  # endpoint -> its message that is under way
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """End at once: what is under way is sent again by somebody, when its lease is over."""
        self._stopping = True
        self._loop.call_soon_threadsafe(self._changed.set)
        self._thread.join()

    def _work(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._send())

    async def _send(self) -> None:
        forgot_at, well = -FORGET_EVERY_S, True
        async with guarded_pool(self._targets) as pool:
            while not self._stopping:
                self._changed.clear()
                try:
                    if time.monotonic() - forgot_at >= FORGET_EVERY_S:
                        forgot_at = time.monotonic()
                        await asyncio.to_thread(self._outbox.forget, now() - KEPT)
                    await self._begin(pool)
                    well = True
                except Exception:  # whatever it is, it may pass, as a database that is away does
                    if well:
                        log.exception("the outbox of webhooks cannot be used; trying again until it can")
                    well = False
                await self._wait()
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _begin(self, pool: httpcore.AsyncConnectionPool) -> None:
        """Begin to send what is due."""
        most = MOST_AT_ONCE - len(self._busy)
        found = await asyncio.to_thread(self._outbox.claim, time.time(), most=most, busy=[*self._busy]) if most else []
        for delivery in found:
            self._busy[delivery.endpoint_id] = asyncio.create_task(self._deliver(pool, delivery))

    async def _wait(self) -> None:
        """Return after a while, or as soon as a message is done."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _deliver(self, pool: httpcore.AsyncConnectionPool, delivery: Delivery) -> None:
        try:
            await self._attempt(pool, delivery)
        except Exception:  # whatever it is, it is tried again when the lease is over
            log.exception("message %s of a webhook failed", delivery.id)
        finally:
            del self._busy[delivery.endpoint_id]
            self._changed.set()

    async def _attempt(self, pool: httpcore.AsyncConnectionPool, delivery: Delivery) -> None:
        if not delivery.is_wanted:
            await asyncio.to_thread(self._outbox.settle, delivery, DeliveryState.GIVEN_UP, NOBODY)
            return
        refusal = await post(pool, delivery)
        if refusal is None:
            await asyncio.to_thread(self._outbox.settle, delivery, DeliveryState.DELIVERED)
        elif refusal.is_final or not await asyncio.to_thread(self._outbox.postpone, delivery, refusal.why, time.time()):
            log.warning("message %s of a webhook is given up after %d attempts", delivery.id, delivery.attempts)
            await asyncio.to_thread(self._outbox.settle, delivery, DeliveryState.GIVEN_UP, refusal.why)
