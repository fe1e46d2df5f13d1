"""A workspace, opened: the model, its factors and the proxy set are at hand, and plans can be judged."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from agents.search.evaluations.evaluation_store import EvaluationStore
from agents.search.evaluations.judge_once import judged_once
from agents.search.evaluations.sqlite_evaluations import SqliteEvaluations
from agents.search.interruptible import Interruptible
from agents.search.model_evaluator import ModelEvaluator, parts_of, shrunk
from agents.search.racing import RacingJudge
from agents.search.workspace import (
    StoredDecompositions,
    database_of,
    judged_files,
    read_problem,
    read_proxy,
    read_record,
)
from envs.problem import CompressionProblem, RacingEvaluator
from shrinkml.events import ShouldStop
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.normalisers import normaliser_called
from shrinkml.storage import checkpoint


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace that is ready to judge plans.

    Attributes:
        problem: what is searched.
        evaluate: judges plans; what was judged before, by anyone, is looked up.
    """

    problem: CompressionProblem
    evaluate: RacingEvaluator


def open_workspace(folder: Path, should_stop: ShouldStop = lambda: False) -> Workspace:
    """The workspace in `folder`, ready to judge plans; what was judged lies in the database that it names.

    Judging a plan raises StoppedError once `should_stop` says so.
    """
    return open_with(SqliteEvaluations(database_of(folder)), folder, context_of(folder), should_stop)


def open_with(store: EvaluationStore, folder: Path, context: str, should_stop: ShouldStop = lambda: False) -> Workspace:
    """The workspace in `folder`, ready to judge plans that nobody who shares `store` has judged.

    Args:
        store: remembers the judgements.
        folder: is not looked into any more afterwards; what is mapped from it outlives its name.
        context: see `context_of`.
        should_stop: asked often while a plan is judged, which raises StoppedError then.
    """
    record, proxy = read_record(folder), read_proxy(folder)
    judged = checkpoint.load(folder / record.model)
    judged.module.to(record.device)
    decompositions = dict(StoredDecompositions(folder))

    def shrink(plan: CompressionPlan) -> AsrModel:
        return Interruptible(shrunk(judged, plan, decompositions), should_stop)

    evaluator = ModelEvaluator(shrink, proxy, normaliser=record.normaliser)
    return Workspace(read_problem(folder), RacingJudge(judged_once(evaluator, store, context), evaluator.words))


def context_of(folder: Path) -> str:
    """A digest of everything but the plan that an evaluation depends on.

    That is: model, factors, proxy set, parts, decoding and normaliser.
    """
    record = read_record(folder)
    decided = f"greedy {checkpoint.inspect(folder / record.model).digest} {normaliser_called(record.normaliser).id}"
    digest = hashlib.sha256(decided.encode())
    for path in judged_files(folder):
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    digest.update(json.dumps([record.texts, parts_of(read_proxy(folder))]).encode())
    return digest.hexdigest()
