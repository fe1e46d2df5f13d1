import threading

from server.worker.departure import Departure


def test_what_is_recorded_is_recorded_at_once_and_returned():
    assert Departure().record(lambda: "done") == "done"


def test_nothing_is_recorded_once_the_process_leaves():
    departure, recorded = Departure(), threading.Event()
    departure.begin()
    threading.Thread(target=lambda: departure.record(recorded.set), daemon=True).start()
    assert not recorded.wait(0.3)


def test_the_departure_waits_for_what_is_being_recorded():
    departure, begun, go_on, left = Departure(), threading.Event(), threading.Event(), threading.Event()

    def write():
        begun.set()
        assert go_on.wait(240)
        return left.is_set()

    found = []
    writer = threading.Thread(target=lambda: found.append(departure.record(write)))
    writer.start()
    assert begun.wait(240)
    leaver = threading.Thread(target=lambda: (departure.begin(), left.set()))
    leaver.start()
    assert not left.wait(0.2)
    go_on.set()
    assert left.wait(240)
    writer.join()
    leaver.join()
    assert found == [False]
