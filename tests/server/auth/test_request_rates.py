import asyncio

import pytest

from server.auth.request_rates import RequestRates
from server.service_errors import RateLimitError


def test_each_token_has_so_many_requests_and_is_told_when_it_has_more():
    async def check() -> RateLimitError:
        rates = RequestRates(2)
        for digest in ("a", "b", "a", "b"):
            await rates.count(digest)
        with pytest.raises(RateLimitError, match="2 requests came with this token within a minute") as refused:
            await rates.count("a")
        return refused.value

    error = asyncio.run(check())
    assert 1 <= error.retry_after_s <= 60
    assert f"go on in {error.retry_after_s} s" in str(error)
