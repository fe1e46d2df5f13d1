import pytest

from server.http.turnstile import Turnstile
from server.service_errors import BusyError, OwnerLimitError


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


def test_one_owner_leaves_room_for_others_and_nobody_is_no_owner():
    turnstile = Turnstile(4, most_of_one=1)
    turnstile.enter("wait", "anna")
    with pytest.raises(OwnerLimitError, match="1 clients of anna wait just now, and the server bears no more of one"):
        turnstile.enter("wait", "anna")
    for owner in ("bert", None, None):
        turnstile.enter("wait", owner)
    with pytest.raises(BusyError, match="4 others wait"):
        turnstile.enter("wait", "carla")
    turnstile.leave("anna")
    turnstile.enter("wait", "anna")
