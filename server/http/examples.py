"""Examples of all that is sent and answered, for the OpenAPI description: one job, as the service tells of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel

import shrinkml
from server.artefacts.artefact_store import Artefact, ArtefactKind
from server.http.problems import Problem, title_of, type_uri
from server.http.views import (
    Candidates,
    Checkpoints,
    CheckpointView,
    CheckView,
    Datasets,
    EventPage,
    EventView,
    Health,
    JobPage,
    JobView,
    Models,
    ModelView,
    Readiness,
    UploadRequest,
    UploadView,
    Version,
    WorkerView,
)
from server.jobs.candidates import pareto_set
from server.jobs.job_state import Job, JobState, Stage, Transition
from server.jobs.model_facts import bundled_models
from server.uploads.upload_state import Contents, ManifestFacts, Upload, UploadKind, UploadState
from server.webhooks.outbox import DeliveryState
from server.webhooks.webhook_views import DeliveryPage, DeliveryView, NewWebhook, WebhookRequest, Webhooks, WebhookView
from shrinkml.events import Event, LoggedEvent, Progress
from shrinkml.job import JobSpec

REQUEST = {
    "model": "reference/las",
    "data": {
        "train": "data/commands/train.jsonl",
        "dev": "data/commands/dev.jsonl",
        "test": "data/commands/test.jsonl",
    },
    "goal": {"compression_ratio": 5.0, "max_wer_increase": 0.003},
}
JOB_ID = "job-1f2e3d4c"
URL = "https://example.org/hook"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def add_examples(components: Mapping[str, Any]) -> None:
    """Put an example at every schema of `components`, those of an OpenAPI document, that is sent or answered whole."""
    for name, example in examples().items():
        components[name]["examples"] = [example]


def examples() -> dict[str, Any]:
    """Return name of a schema -> an example of it, as JSON."""
    job, log = _job(), _log()
    checkpoint = Artefact("final.tar", ArtefactKind.CHECKPOINT, 3_072_000, "9f86d081884c7d65" * 4)
    answers: tuple[BaseModel, ...] = (
        JobView.of(job),
        JobPage(items=[JobView.of(job)], next=f"/v1/jobs?limit=1&before={job.number}"),
        EventPage(items=[EventView.of(entry) for entry in log], next_after=log[-1].sequence, state=job.state),
        Candidates.of(pareto_set(log[1:])),
        Checkpoints(items=[CheckpointView.of(JOB_ID, checkpoint)]),
        UploadRequest(name="speech.tar", bytes=1_331_200, sha256="6b86b273ff34fce1" * 4),
        UploadView.of(_sent(UploadKind.MODEL), received=655_360),
        Datasets(uploads=[UploadView.of(_ready(), received=1_331_200)]),
        Models(items=[ModelView.of(facts) for facts in bundled_models()], uploads=[]),
        Version(shrinkml=shrinkml.__version__, api="v1"),
        Health(),
        _unready(),
        WebhookRequest(url=URL),
        NewWebhook(**_webhook(), secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        WebhookView(**_webhook()),
        Webhooks(items=[WebhookView(**_webhook())]),
        DeliveryPage(items=[_delivery()], next=None),
    )
    return {
        JobSpec.__name__: REQUEST,
        Problem.__name__: _problem().model_dump(exclude_none=True),
        **{type(answer).__name__: answer.model_dump(mode="json") for answer in answers},
    }


def _job() -> Job:
    return Job(
        id=JOB_ID,
        number=7,
        spec=JobSpec.model_validate(REQUEST),
        state=JobState.RUNNING,
        attempt=1,
        starts=0,
        history=(Transition(JobState.QUEUED, BEGAN), Transition(JobState.RUNNING, _after(1))),
        stage=Stage("search-2.24", _after(95)),
        progress=_progress(),
    )


def _sent(kind: UploadKind) -> Upload:
    sha256 = "6b86b273ff34fce1" * 4
    return Upload("1f2e3d4c5b6a7988", kind, "speech.tar", 1_331_200, sha256, UploadState.RECEIVING, BEGAN)


def _ready() -> Upload:
    contents = Contents(1_328_600, ".", manifests=(ManifestFacts("dev.jsonl", 40, 83.2),))
    return _sent(UploadKind.DATASET).moved_to(UploadState.READY, contents=contents)


def _log() -> list[LoggedEvent]:
    facts = {"strategy": "surrogate", "seed": 0, "wer": 0.0125, "heard": 1.0, "parameters": 3_338_509}
    message = "surrogate, seed 0, plan 12: 1.25 % WER at 2.24x"
    return [
        LoggedEvent(14, _after(95), Event("stage_started", "search-2.24/started", "search-2.24", "Searching.")),
        LoggedEvent(15, _after(98), Event("evaluated", "surrogate/0/12", "search-2.24", message, facts, _progress())),
    ]


def _webhook() -> dict[str, Any]:
    return {"id": "5d6e7f80", "owner": "anna", "url": URL, "created_at": BEGAN}


def _delivery() -> DeliveryView:
    return DeliveryView(
        id="msg_5d6e7f80_31",
        type="job.running",
        job_id=JOB_ID,
        state=DeliveryState.WAITING,
        attempts=1,
        created_at=_after(1),
        next_attempt_at=_after(7),
        settled_at=None,
        problem="the answer was 502",
    )


def _progress() -> Progress:
    return Progress(0.21, evaluations_done=12, evaluations_total=200, seconds_left=1140.0)


def _unready() -> Readiness:
    well = [CheckView(name=name, ok=True, why=None) for name in ("database", "artefacts")]
    starting = CheckView(name="worker", ok=False, why="the worker is starting")
    return Readiness(ready=False, checks=[*well, starting], worker=WorkerView(pid=4711, silent_s=None, restarts=0))


def _problem() -> Problem:
    detail = "16 jobs wait already and the server accepts 16; try again when one has started, or cancel one of them"
    code = "queue-full"
    return Problem(type=type_uri(code), title=title_of(code), status=503, detail=detail, instance="/v1/jobs")


def _after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)
