"""A job on the tiny recogniser, and a search's workspace made from it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.execution.executor import SearchTask
from agents.pipeline.materials import Materials
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.search.recorder import Recorder
from agents.search.search import Search
from envs.rewards import REWARDS
from envs.toys import Toy
from shrinkml.job import JobSpec, parse_job
from tests.agents.toy_search import few_generations

SPARSE = {"strategy": "random", "evaluations": 6, "seeds": 1, "baselines": ["greedy"]}


@pytest.fixture(scope="session")
def tiny_job(tiny_model_dir: Path, tiny_data: dict[str, Path]) -> Callable[..., JobSpec]:
    """Makes jobs on the tiny recogniser, run in this process unless said otherwise."""

    def make(**changes: object) -> JobSpec:
        job = {
            "model": str(tiny_model_dir),
            "data": {split: str(path) for split, path in tiny_data.items()} | {"proxy_utterances": 12},
            "goal": {"compression_ratio": 3.0, "max_wer_increase": 1.0},
            "steps": [3.0],
            "search": SPARSE,
            "finetune": {"epochs": 2, "learning_rate": 1e-3, "batch_size": 12},
            "executor": "local",
        }
        return parse_job(job | changes)

    return make


@pytest.fixture
def evolving_little() -> Iterator[None]:
    """See `few_generations`."""
    with few_generations():
        yield


@pytest.fixture(scope="session")
def search_folder(tmp_path_factory: pytest.TempPathFactory, tiny_job: Callable[..., JobSpec]) -> Path:
    """Of a search of the tiny recogniser, three times smaller; evaluations will lie beside it."""
    spec = tiny_job()
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
    folder = tmp_path_factory.mktemp("posed") / "workspace"
    folder.mkdir()
    cache = folder.with_name("evaluations.sqlite")
    make_workspace(materials, folder, start=materials.original, ratio=3.0, factorizer="svd", cache=cache)
    return folder


@pytest.fixture
def make_task(tmp_path: Path, search_folder: Path) -> Callable[..., SearchTask]:
    """Makes tasks of a workspace of this test's own, in which nothing was evaluated."""
    folder = shutil.copytree(search_folder, tmp_path / "workspace")

    def make(strategy: str, *, seed: int = 0, evaluations: int = 8) -> SearchTask:
        return SearchTask(strategy, seed, evaluations, "budget_wall", str(folder))

    return make


@pytest.fixture
def make_search() -> Callable[..., Search]:
    """Makes searches of a toy, for what strategies are made of."""

    def make(
        toy: Toy,
        *,
        evaluations: int = 1,
        evaluate: Callable[..., float] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Search:
        recorder = Recorder(
            toy.problem,
            evaluate or toy.evaluate,
            evaluations=evaluations,
            on_trial=lambda trial, n_done: None,
            should_stop=should_stop,
        )
        return Search.of(toy.problem, recorder, reward=REWARDS["budget_wall"])

    return make
