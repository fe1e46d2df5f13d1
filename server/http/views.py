"""The service's answers: the records as JSON, with links."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.artefacts.artefact_store import Artefact
from server.artefacts.checkpoint_tar import checkpoint_of
from server.http.problems import title_of, type_uri
from server.jobs.candidates import Candidate, ParetoSet
from server.jobs.job_state import Failure, Job, JobState
from server.jobs.model_facts import ModelFacts
from server.stores.schema import MOST_INTEGER
from server.uploads.upload_state import ManifestFacts, Upload, UploadKind, UploadState
from shrinkml.events import LoggedEvent, Progress
from shrinkml.job import JobSpec


class StageView(BaseModel):
    """The pipeline stage that a job is or was last in."""

    name: str
    started_at: datetime


class ProgressView(BaseModel):
    """The progress of a job."""

    fraction: float = Field(description="Of the whole job, in [0, 1].")
    evaluations_done: int = Field(description="Plans judged so far.")
    evaluations_total: int = Field(description="Plans that the job will judge at most.")
    seconds_left: float | None = Field(description="Estimate from the speed so far; null until there is one.")

    @classmethod
    def of(cls, progress: Progress) -> "ProgressView":
        """Return the view of `progress`."""
        return cls.model_validate(progress, from_attributes=True)


class TransitionView(BaseModel):
    """A state and the moment the job came into it."""

    state: JobState
    at: datetime


class FailureView(BaseModel):
    """The reason that a job failed: a problem document (RFC 9457) with code, stage and hint."""

    type: str = Field(description="Stable name of the kind of problem.")
    title: str
    detail: str = Field(description="What was found.")
    code: str = Field(description="The end of `type`.")
    stage: str = Field(description="The pipeline stage that it happened in; empty before the first.")
    hint: str = Field(description="What to do about it.")

    @classmethod
    def of(cls, failure: Failure) -> "FailureView":
        """Return the view of `failure`."""
        return cls(
            type=type_uri(failure.code),
            title=title_of(failure.code),
            detail=failure.message,
            code=failure.code,
            stage=failure.stage,
            hint=failure.hint,
        )


class JobView(BaseModel):
    """A job."""

    id: str
    owner: str | None = Field(description="The user who submitted it; null where nobody needed a token then.")
    state: JobState
    attempt: int = Field(description="1, and one more each time that the job is resumed.")
    stage: StageView | None
    progress: ProgressView | None
    failure: FailureView | None = Field(description="In the state `failed`: why.")
    transitions: list[TransitionView] = Field(description="Every state that the job came into, in order.")
    job: JobSpec = Field(description="What was asked for, with absolute paths.")
    links: dict[str, str] = Field(description="What can be asked of this job.")

    @classmethod
    def of(cls, job: Job) -> "JobView":
        """Return the view of `job`."""
        return cls(
            id=job.id,
            owner=job.owner,
            state=job.state,
            attempt=job.attempt,
            stage=job.stage and StageView.model_validate(job.stage, from_attributes=True),
            progress=job.progress and ProgressView.of(job.progress),
            failure=job.failure and FailureView.of(job.failure),
            transitions=[TransitionView(state=moved.state, at=moved.at) for moved in job.history],
            job=job.spec,
            links=links_of(job.id),
        )


class JobPage(BaseModel):
    """Some jobs, the newest first."""

    items: list[JobView]
    next: str | None = Field(description="Where the older ones are; null on the last page.")


class EventView(BaseModel):
    """One entry of a job's log."""

    sequence: int = Field(description="1 for the first event, and so on without a gap.")
    at: datetime
    kind: str = Field(description="state, stage_started, stage_finished, evaluated, epoch or stopped.")
    key: str = Field(description="Unique within the job.")
    stage: str
    message: str = Field(description="One sentence for people.")
    data: dict[str, Any] = Field(description="Facts for programs.")
    progress: ProgressView | None

    @classmethod
    def of(cls, entry: LoggedEvent) -> "EventView":
        """Return the view of `entry`."""
        return cls.model_validate(entry.to_json())


class EventPage(BaseModel):
    """Some events of a job, in order."""

    items: list[EventView]
    next_after: int = Field(description="Ask for the events after this one next.")
    state: JobState = Field(description="Of the job; once it has ended and `items` is empty, nothing more comes.")


class CheckpointView(BaseModel):
    """A checkpoint to download: a tar of its folder."""

    name: str = Field(description="File name.")
    checkpoint: str = Field(description="Name in the report, and of the folder in the tar.")
    bytes: int
    sha256: str = Field(description="Of the file; also its ETag.")
    url: str

    @classmethod
    def of(cls, job_id: str, artefact: Artefact) -> "CheckpointView":
        """Return the view of `artefact`."""
        return cls(
            name=artefact.name,
            checkpoint=checkpoint_of(artefact),
            bytes=artefact.bytes,
            sha256=artefact.sha256,
            url=f"{links_of(job_id)['checkpoints']}/{artefact.name}",
        )


class Checkpoints(BaseModel):
    """The checkpoints of a job: packed when it ends, however it ends."""

    items: list[CheckpointView]


class CandidateView(BaseModel):
    """A plan that no other judged plan beats in both WER and size."""

    stage: str = Field(description="The pipeline stage that judged it.")
    parameters: int = Field(description="Of the whole model under the plan.")
    wer: float = Field(description="On the proxy set, before fine-tuning, as a fraction.")
    data: dict[str, Any] = Field(description="What else the search said of it: the plan, strategy, seed.")

    @classmethod
    def of(cls, candidate: Candidate) -> "CandidateView":
        """Return the view of `candidate`."""
        return cls.model_validate(candidate, from_attributes=True)


class Candidates(BaseModel):
    """The Pareto set of a job's plans, the smallest model first."""

    items: list[CandidateView]
    n_judged: int = Field(description="Plans judged so far.")

    @classmethod
    def of(cls, found: ParetoSet) -> "Candidates":
        """Return the view of `found`."""
        return cls(items=[CandidateView.of(candidate) for candidate in found.items], n_judged=found.n_judged)


class ModelView(BaseModel):
    """A model that a job may name."""

    name: str
    family: str
    parameters: int
    bytes: int = Field(description="Size of the weights' file.")

    @classmethod
    def of(cls, facts: ModelFacts) -> "ModelView":
        """Return the view of `facts`."""
        return cls.model_validate(facts, from_attributes=True)


class UploadRequest(BaseModel):
    """An archive that is to be sent."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=128, description="For people, as of its file.")
    bytes: int = Field(ge=1, le=MOST_INTEGER, description="Of the archive: a zip, or a tar that is not compressed.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the archive, in hex digits.")


class ManifestView(BaseModel):
    """A manifest of a data set."""

    name: str = Field(description="Of its file.")
    reference: str = Field(description="The name that a job gives it, as its data.train, data.dev or data.test.")
    utterances: int
    seconds: float = Field(description="Of audio.")

    @classmethod
    def of(cls, upload: Upload, facts: ManifestFacts) -> "ManifestView":
        """Return the view of `facts`."""
        reference = f"{upload.reference}/{facts.name}"
        return cls(name=facts.name, reference=reference, utterances=facts.utterances, seconds=facts.seconds)


class UploadView(BaseModel):
    """An archive that is sent, checked, and then ready for jobs or refused."""

    id: str
    kind: UploadKind
    owner: str | None = Field(description="The user who sends it; null where nobody needed a token then.")
    name: str
    bytes: int = Field(description="Of the archive.")
    sha256: str = Field(description="Of the archive.")
    state: UploadState
    received: int = Field(description="Bytes of the archive that have come: the next part begins here.")
    problem: str | None = Field(description="Why it was refused, or could not be kept.")
    created_at: datetime
    model: ModelView | None = Field(description="Once a model is ready: its facts, and the name that a job gives it.")
    manifests: list[ManifestView] = Field(description="Once a data set is ready.")
    links: dict[str, str] = Field(description="Where it is, and where its content is sent to.")

    @classmethod
    def of(cls, upload: Upload, received: int) -> "UploadView":
        """Return the view of `upload`, of which `received` bytes have come."""
        contents, base = upload.contents, f"{upload.kind.path}/{upload.id}"
        return cls(
            id=upload.id,
            kind=upload.kind,
            owner=upload.owner,
            name=upload.name,
            bytes=upload.bytes,
            sha256=upload.sha256,
            state=upload.state,
            received=received,
            problem=upload.problem,
            created_at=upload.created_at,
            model=contents and contents.model and ModelView.of(contents.model),
            manifests=[ManifestView.of(upload, facts) for facts in (contents.manifests if contents else ())],
            links={"self": base, "content": f"{base}/content"},
        )


class Datasets(BaseModel):
    """Uploaded data sets."""

    uploads: list[UploadView] = Field(description="The newest first.")


class Models(BaseModel):
    """Models that a job may name."""

    items: list[ModelView] = Field(description="Those that come with the server, then uploaded ones that are ready.")
    uploads: list[UploadView] = Field(description="Uploaded ones in every state, the newest first.")


class Health(BaseModel):
    """The health of the process that answers: it is alive."""

    status: Literal["ok"] = "ok"


class CheckView(BaseModel):
    """A part that the service needs to do jobs."""

    name: str = Field(description="database, artefacts (the files that jobs leave) or worker.")
    ok: bool
    why: str | None = Field(description="Where it is not well: the reason.")


class WorkerView(BaseModel):
    """The worker process, as the server sees it."""

    pid: int | None = Field(description="Its process id; null while there is none.")
    silent_s: float | None = Field(description="Seconds since its last sign of life; null while it is starting.")
    restarts: int = Field(description="Times that it was started again.")


class Readiness(BaseModel):
    """The readiness of the service to do jobs."""

    ready: bool = Field(description="False where a check failed: jobs that are accepted wait until it is true again.")
    checks: list[CheckView]
    worker: WorkerView | None = Field(description="The server's own worker; null where only others run jobs.")


class Version(BaseModel):
    """The versions that run."""

    shrinkml: str
    api: str


def links_of(job_id: str) -> dict[str, str]:
    """Return name -> path of everything that can be asked of a job."""
    base = f"/v1/jobs/{job_id}"
    parts = ("events", "cancel", "resume", "candidates", "report", "policy", "checkpoints")
    return {"self": base, **{part: f"{base}/{part}" for part in parts}}
