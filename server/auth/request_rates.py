"""A bound on the requests that come with one token, counted in this process."""

import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from server.service_errors import RateLimitError


class RequestRates:
    """Counts the requests of each token in a minute, which begins with its first one. Servers count each for itself."""

    def __init__(self, per_minute: int) -> None:
        """Bear `per_minute` requests of each token."""
        self._bound = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, digest: str) -> None:
        """Count a request with the token whose secret has the hash `digest`.

        Raises:
            RateLimitError: so many came in this minute already.
        """
        if await self._limiter.hit(self._bound, digest):
            return
        ends_at, _ = await self._limiter.get_window_stats(self._bound, digest)
        wait_s = max(1, math.ceil(ends_at - time.time()))
        raise RateLimitError(
            f"{self._bound.amount} requests came with this token within a minute, the most that the server answers; "
            f"go on in {wait_s} s",
            wait_s,
        )
