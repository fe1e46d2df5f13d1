"""The materials of a job on the tiny recogniser, and a checkpoint that was made of them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.pipeline.job_run import run_job
from agents.pipeline.materials import Materials
from agents.pipeline.stages.conclusion import verify_stage
from agents.pipeline.stages.steps.calibrate_stage import make_workspace
from agents.pipeline.stages.steps.factorize_stage import save_factorized
from agents.search.workspace import read_problem
from shrinkml.events import Event
from shrinkml.job import JobSpec
from shrinkml.measure.verification import view_in_fresh_process
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report import to_json
from shrinkml.speech.manifest import read_manifest, write_manifest


@pytest.fixture(scope="package")
def spec(tiny_job: Callable[..., JobSpec]) -> JobSpec:
    """A job of one step."""
    return tiny_job()


@pytest.fixture(scope="package")
def materials(spec: JobSpec) -> Materials:
    """Those of the job."""
    return Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)


@pytest.fixture(scope="package")
def half(materials: Materials, pose_search: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the tiny recogniser with every layer at half of its break-even rank."""
    folder = tmp_path_factory.mktemp("half")
    pose_search(materials, folder, materials.original, 1.5)
    shapes = {decision.name: decision.shape for decision in read_problem(folder).decisions}
    ranks = {name: max(1, out * inp // (out + inp) // 2) for name, (out, inp) in shapes.items()}
    plan = CompressionPlan.of_ranks(ranks)
    save_factorized(materials, folder / "model", start=materials.original, workspace=folder, plan=plan)
    return folder / "model"


@pytest.fixture(scope="package")
def pose_search() -> Callable[..., None]:
    """Writes the workspace of a search."""

    def pose(materials: Materials, folder: Path, start: Path, ratio: float) -> None:
        cache = folder / "evaluations.sqlite"
        make_workspace(materials, folder, start=start, ratio=ratio, factorizer="svd", cache=cache)

    return pose


@pytest.fixture(scope="package")
def finished(
    tiny_job: Callable[..., JobSpec], tmp_path_factory: pytest.TempPathFactory
) -> tuple[JobSpec, Path, dict[str, Any], list[Event]]:
    """A job of two steps that ran through, verified in a fresh process: its spec, folder, report and events.

    Beside its folder lies what it was whenever a stage began: see `as_of`.
    """
    folder, events = tmp_path_factory.mktemp("finished") / "job", []
    search = {"strategy": "random", "evaluations": 6, "seeds": 1, "baselines": ["greedy", "knapsack"]}
    spec = tiny_job(steps=[1.5, 3.0], search=search)

    def note(event: Event) -> None:
        events.append(event)
        if event.kind == "stage_started":
            shutil.copytree(folder, folder.with_name(event.stage))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify_stage, "view_in_fresh_process", view_in_fresh_process)
        report = run_job(spec, folder, on_event=note)
    return spec, folder, to_json(report), events


@pytest.fixture
def as_of(finished: tuple[JobSpec, Path, dict[str, Any], list[Event]], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of the folder of the finished job, as it was when a stage of it began."""
    return lambda stage: shutil.copytree(finished[1].with_name(stage), tmp_path / "job")


@pytest.fixture(scope="package")
def whisper_job(
    tiny_job: Callable[..., JobSpec], tiny_data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., JobSpec]:
    """Makes jobs on the bundled Whisper, whose vocabulary can be trimmed, and six utterances of each split."""
    folder = tmp_path_factory.mktemp("few")
    for split, manifest in tiny_data.items():
        write_manifest(folder / f"{split}.jsonl", read_manifest(manifest)[:6])
    few = {split: str(folder / f"{split}.jsonl") for split in tiny_data} | {"proxy_utterances": 4}

    def make(**changes: object) -> JobSpec:
        goal = {"compression_ratio": 1.2, "max_wer_increase": 1.0}
        job = {"model": "reference/whisper", "data": few, "goal": goal, "steps": "auto", "vocabulary": "auto"}
        return tiny_job(**(job | changes))

    return make


@pytest.fixture(scope="package")
def whisper_materials(whisper_job: Callable[..., JobSpec]) -> Materials:
    """Those of such a job."""
    spec = whisper_job()
    return Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
