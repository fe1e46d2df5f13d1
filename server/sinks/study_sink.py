"""The judged plans of a job as trials of Optuna, in a file that optuna-dashboard opens."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from shrinkml.events import LoggedEvent

METRICS = ("wer", "parameters")  # both to be made small


def to_study(path: Path, job_id: str) -> Callable[[LoggedEvent], None]:
    """Return what writes an event of the job, if it tells of a judged plan, to the file `path`.

    Each search is a study, called JOB/STAGE, whose values are METRICS; a plan that is there already is not written
    again. One that was given up early is a pruned trial: its WER is an estimate.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(path)))
    studies: dict[str, tuple[optuna.Study, set[str]]] = {}  # stage -> its study, and the keys of the plans in it

    def write(entry: LoggedEvent) -> None:
        event = entry.event
        if event.kind != "evaluated":
            return
        if event.stage not in studies:
            studies[event.stage] = _opened(storage, f"{job_id}/{event.stage}")
        study, there = studies[event.stage]
        if event.key not in there:
            there.add(event.key)
            study.add_trial(_trial(event.key, dict(event.data)))

    return write


def _opened(storage: JournalStorage, name: str) -> tuple[optuna.Study, set[str]]:
    """Return the study called `name`, made where it is missing, and the keys of the plans in it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would tell of every study that it opens
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["minimize"] * len(METRICS), load_if_exists=True
        )
    finally:
        optuna.logging.set_verbosity(before)
    study.set_user_attr("values", list(METRICS))
    return study, {trial.user_attrs["key"] for trial in study.get_trials(deepcopy=False)}


def _trial(key: str, facts: dict[str, Any]) -> FrozenTrial:
    whole = facts.get("heard", 1.0) == 1.0
    values = [float(facts[metric]) for metric in METRICS] if whole else None
    state = TrialState.COMPLETE if whole else TrialState.PRUNED
    return create_trial(state=state, values=values, user_attrs={"key": key, **facts})
