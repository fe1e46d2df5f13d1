import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from server.jobs.job_state import now
from server.sinks.study_sink import METRICS, to_study
from shrinkml.events import Event, LoggedEvent


def judged(number: int, wer: float, parameters: int, *, stage: str = "search-3x", heard: float = 1.0) -> LoggedEvent:
    facts = {"strategy": "tpe", "wer": wer, "parameters": parameters, "heard": heard, "plan": {"encoder": 16}}
    return LoggedEvent(number, now(), Event("evaluated", f"tpe/0/{number}", stage, "", facts))


@pytest.fixture
def open_study(tmp_path):
    """Opens a study of the file as optuna-dashboard would."""
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "plans.log")))
    return lambda name: optuna.load_study(study_name=name, storage=storage)


def test_judged_plans_are_trials_whose_front_optuna_finds(tmp_path, open_study):
    write = to_study(tmp_path / "plans.log", "tiny-1")
    write(LoggedEvent(1, now(), Event("epoch", "e", "finetune", "")))
    for entry in (judged(2, 0.3, 100), judged(3, 0.2, 90), judged(4, 0.5, 50), judged(5, 0.1, 10, heard=0.4)):
        write(entry)
    study = open_study("tiny-1/search-3x")
    assert study.user_attrs == {"values": list(METRICS)}
    assert [trial.values for trial in study.trials] == [[0.3, 100], [0.2, 90], [0.5, 50], None]
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 3 + ["PRUNED"]
    assert sorted(trial.number for trial in study.best_trials) == [1, 2]
    assert study.trials[0].user_attrs["plan"] == {"encoder": 16}


def test_each_search_is_a_study_and_what_is_written_again_stands_there_once(tmp_path, open_study):
    for _ in range(2):
        write = to_study(tmp_path / "plans.log", "tiny-1")
        write(judged(2, 0.3, 100))
        write(judged(3, 0.3, 100, stage="search-5x"))
    assert [len(open_study(f"tiny-1/{stage}").trials) for stage in ("search-3x", "search-5x")] == [1, 1]
