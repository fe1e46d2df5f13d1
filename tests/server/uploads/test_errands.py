import logging
import threading

from server.uploads.errands import Errands


def test_errands_are_done_in_order_also_behind_one_that_fails(caplog):
    done, last = [], threading.Event()

    def fail() -> None:
        raise ZeroDivisionError

    errands = Errands("test")
    with caplog.at_level(logging.ERROR, logger="server"):
        for errand in (lambda: done.append(1), fail, lambda: done.append(2), last.set):
            errands(errand)
        assert last.wait(60)
    assert done == [1, 2]
    assert "an errand failed" in caplog.text
