import pytest
import ray

from agents.execution.ray.ray_evaluations import keep_evaluations
from agents.execution.ray.stop_signal import StopSignal, now_and_then


@pytest.fixture
def keeper(ray_executor, tmp_path):
    ray_executor._cluster.start()
    store = keep_evaluations(tmp_path / "evaluations.sqlite")
    assert store.evaluations_made("any") == {}  # it runs
    return store.keeper


def test_a_stop_that_is_given_is_heard_of_in_its_run_alone(keeper):
    mine, other = StopSignal(keeper, "mine"), StopSignal(keeper, "other")
    assert not mine.given()
    mine.give()
    assert (mine.given(), other.given()) == (True, False)


def test_where_nobody_answers_no_stop_is_heard_of(keeper):
    ray.kill(keeper)
    assert not StopSignal(keeper, "mine").given()


def test_the_question_is_asked_now_and_then_and_never_again_once_it_is_answered(monkeypatch):
    now, answers, asked = 1000.0, [False, True], []
    monkeypatch.setattr("agents.execution.ray.stop_signal.time.monotonic", lambda: now)

    def ask():
        asked.append(now)
        return answers[len(asked) - 1]

    should_stop, heard = now_and_then(ask, every_s=2.0), []
    for _ in range(5):
        heard.append(should_stop())
        now += 1.0
    assert heard == [False, False, True, True, True]
    assert asked == [1000.0, 1002.0]
