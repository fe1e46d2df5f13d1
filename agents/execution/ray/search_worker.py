"""The worker's side of a search under Ray: it needs nothing but what it is handed, no folder of the driver."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import ray
from ray import ObjectRef, tune

from agents.execution.executor import SearchTask
from agents.execution.ray.ray_evaluations import RayEvaluations
from agents.execution.ray.stop_signal import StopSignal, now_and_then
from agents.search.opened_workspace import Workspace
from agents.search.packed_workspace import PackedWorkspace, open_packed
from agents.search.search_result import Trial
from agents.search.search_task import search_in
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop

MOST_WAIT_FOR_BLOCK_S = 300.0  # some megabytes, which may have to come over a slow network from a disk


@dataclass(frozen=True, slots=True)
class HandedWorkspace:
    """The twin of a workspace's folder that a worker gets.

    Attributes:
        packed: its files, by reference to Ray's object store.
        evaluations: the judgements that all workers share.
        stop: of the run.
    """

    packed: PackedWorkspace[ObjectRef[bytes]]
    evaluations: RayEvaluations
    stop: StopSignal


def search(config: dict[str, Any], tasks: Sequence[SearchTask], workspaces: Mapping[str, HandedWorkspace]) -> None:
    """The trial of task `config["index"]`, in a worker process: reports every judged plan, at last the result."""
    task = tasks[config["index"]]

    def report(trial: Trial, n_done: int) -> None:
        tune.report({"trial": json.dumps(trial.to_json()), "n_done": n_done})

    try:
        workspace, should_stop = _opened(workspaces[task.workspace])
        result = search_in(workspace, task, on_trial=report, should_stop=should_stop)
    except StoppedError:
        return  # the driver makes a result of what was reported
    except Exception as error:
        tune.report({"error": str(error) or type(error).__name__})
    else:
        tune.report({"result": json.dumps(result.to_json())})


@lru_cache(maxsize=1)
def _opened(handed: HandedWorkspace) -> tuple[Workspace, ShouldStop]:
    """The workspace, unpacked once by each process, whose searches come one after another; and whether they stop."""
    should_stop = now_and_then(handed.stop.given)
    return open_packed(handed.packed, _fetch, handed.evaluations, should_stop), should_stop


def _fetch(block: ObjectRef[bytes]) -> bytes:
    return ray.get(block, timeout=MOST_WAIT_FOR_BLOCK_S)
