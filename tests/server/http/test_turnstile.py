import pytest

from server.http.turnstile import Turnstile
from server.service_errors import BusyError


def test_so_many_are_let_in_and_the_next_is_sent_away_until_one_leaves():
    turnstile = Turnstile(2)
    with turnstile.passed("wait"):
        turnstile.enter("wait")
        with pytest.raises(BusyError, match="2 others wait just now; try again in a moment"), turnstile.passed("wait"):
            pytest.fail("there is no place")
        turnstile.leave()
        turnstile.enter("wait")


def test_a_place_is_given_back_whatever_happens():
    turnstile = Turnstile(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), turnstile.passed("divide"):
            1 / 0  # noqa: B018
