from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from server.jobs.candidates import pareto_set
from shrinkml.events import Event, LoggedEvent

points = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9).map(lambda n: n / 10)), max_size=12)


def entry(sequence: int, parameters: int, wer: float, **more: float) -> LoggedEvent:
    facts = {"parameters": parameters, "wer": wer, "strategy": "greedy", **more}
    return LoggedEvent(sequence, datetime.now(UTC), Event("evaluated", str(sequence), "search", "", facts))


@given(points)
def test_nobody_beats_a_candidate_and_everybody_else_is_beaten_or_equalled(points):
    found = pareto_set(entry(i, *point) for i, point in enumerate(points))
    front = [(c.parameters, c.wer) for c in found.items]
    assert found.n_judged == len(points)
    assert front == sorted(set(front))
    for point in set(points):
        others = [q for q in points if q != point and q[0] <= point[0] and q[1] <= point[1]]
        assert (point in front) == (not others)


def test_a_candidate_keeps_what_the_search_said_of_it():
    (only,) = pareto_set([entry(1, 5, 0.1)]).items
    assert (only.stage, only.data) == ("search", {"strategy": "greedy"})


def test_a_plan_that_was_stopped_early_is_counted_but_is_no_candidate():
    found = pareto_set([entry(1, 5, 0.1, heard=1.0), entry(2, 4, 0.2, heard=0.3)])
    assert ([candidate.parameters for candidate in found.items], found.n_judged) == ([5], 2)
