import pytest
from sqlalchemy.exc import IntegrityError

from server.service_errors import StoreBusyError
from server.stores import racing_writers
from server.stores.racing_writers import LostRaceError, until_won


@pytest.mark.parametrize("lost", [LostRaceError(), IntegrityError("INSERT", None, Exception("UNIQUE"))])
def test_a_lost_race_is_run_again_until_it_is_won(lost):
    tries = []

    def change():
        tries.append(len(tries))
        if len(tries) < 3:
            raise lost
        return "won"

    assert until_won(change) == "won"
    assert tries == [0, 1, 2]


def test_who_always_loses_is_told(monkeypatch):
    monkeypatch.setattr(racing_writers, "MOST_TRIES", 3)
    monkeypatch.setattr(racing_writers, "LONGEST_WAIT_S", 0.0)

    def lose():
        raise LostRaceError

    with pytest.raises(StoreBusyError, match="others changed the same rows 3 times in a row; try again later"):
        until_won(lose)


def test_other_errors_are_not_tried_again():
    tries = []

    def fail():
        tries.append(1)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        until_won(fail)
    assert tries == [1]
