"""The service from Python.

Submit a job, follow it, download what it made::

    with Client("http://127.0.0.1:8765") as client:
        job = client.submit("configs/demo.yaml")
        job.wait(on_event=lambda entry: print(entry.event.message))
        job.download(Path("small"))
"""

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from shrinkml.errors import ServiceError
from shrinkml.events import LoggedEvent
from shrinkml.extras import needs

with needs("the client"):
    import httpx

    from shrinkml.download import fetch
    from shrinkml.job import JobSpec, read_job
    from shrinkml.transport import (
        FIRST_WAIT_S,
        bearer,
        is_loopback,
        parse_events,
        persistently,
        raise_for_problem,
        refusal_for_now,
    )
    from shrinkml.upload import OnProgress, send

DEFAULT_URL = "http://127.0.0.1:8765"
TOKEN_VARIABLE = "SHRINKML_TOKEN"  # of the environment, which others on the machine do not see as they see arguments
PAGE = 1000  # events per request
FIRST_PATIENCE_S = 10.0  # for a server that was never there
PATIENCE_S = 600.0  # for one that is followed to come back: it may be updated meanwhile
LONGEST_WAIT_S = 5.0  # between two tries


class Client:
    """A connection to the service.

    A request that fails on the way is tried again; every one of them is safe to repeat.
    """

    def __init__(self, url: str = DEFAULT_URL, *, token: str | None = None, timeout_s: float = 60.0) -> None:
        """Connect to a server when the first request is made.

        Args:
            url: of the server.
            token: for a server that asks for one; the environment's SHRINKML_TOKEN unless given.
            timeout_s: seconds without an answer until a request is given up.

        Raises:
            ConfigError: no token looks like that.
        """
        # A proxy (HTTP_PROXY) would look for a server of this machine on its own.
        unproxied = {"http://": None, "https://": None} if is_loopback(url) else None
        headers = bearer(os.environ.get(TOKEN_VARIABLE) if token is None else token)
        self._http = httpx.Client(base_url=url, timeout=timeout_s, mounts=unproxied, headers=headers)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; jobs go on."""
        self._http.close()

    def submit(
        self, job: JobSpec | Mapping[str, Any] | Path | str, *, key: str | None = None, priority: int = 0
    ) -> "JobHandle":
        """The job, queued.

        Args:
            job: a description, or the path of a YAML file with one.
            key: submitting the same job again with the same key gives the job that is there; new unless given.
            priority: of the owner's jobs that wait, the one of the highest is next; from -100 to 100.

        Raises:
            ConfigError: the file holds no valid job.
            ServiceError: the server refuses the job or cannot be reached.
        """
        if isinstance(job, str | Path):
            job = read_job(Path(job))
        body = job.model_dump(mode="json") if isinstance(job, JobSpec) else dict(job)
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        path = f"/v1/jobs?priority={priority}" if priority else "/v1/jobs"
        accepted = _send(self._http, "POST", path, json=body, headers=headers)
        return JobHandle(self._http, accepted["id"])

    def job(self, job_id: str) -> "JobHandle":
        """The job called `job_id`, which need not have been submitted from here."""
        return JobHandle(self._http, job_id)

    def jobs(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """At most `limit` jobs, the newest first."""
        return _items(_send(self._http, "GET", f"/v1/jobs?limit={limit}"))

    def models(self) -> list[dict[str, Any]]:
        """The models that a job may name: those that come with the server, and uploaded ones that are ready."""
        return _items(_send(self._http, "GET", "/v1/models"))

    def upload_model(self, path: Path | str, *, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """The upload of a model, once it is ready: its `model` holds the `name` that a job gives it.

        Args:
            path: folder of a checkpoint or transformers model, or a .zip or .tar of one. What an earlier call sent of
                the same model is not sent again.
            on_progress: called with the bytes that have come, and of how many.

        Raises:
            CheckpointError: the folder holds no model.
            ServiceError: the server refuses it or cannot be reached; the same call goes on from there.
        """
        from shrinkml.storage.archives import packed_model  # it needs the audio libraries, the rest does not

        with packed_model(Path(path)) as archive:
            return send(self._http, "/v1/models", archive, on_progress=on_progress)

    def upload_dataset(self, paths: Sequence[Path | str], *, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """The upload of manifests with their audio, once it is ready: each of its `manifests` holds its `reference`.

        Args:
            paths: manifests, or one .zip or .tar of some with their audio.
            on_progress: see `upload_model`.

        Raises:
            ManifestError: a manifest has problems.
            ServiceError: see `upload_model`.
        """
        from shrinkml.storage.archives import packed_dataset

        with packed_dataset([Path(path) for path in paths]) as archive:
            return send(self._http, "/v1/datasets", archive, on_progress=on_progress)

    def uploads(self) -> list[dict[str, Any]]:
        """Models and data sets that were sent, in every state, the newest of each first."""
        return [
            upload for kind in ("models", "datasets") for upload in _send(self._http, "GET", f"/v1/{kind}")["uploads"]
        ]

    def delete_upload(self, upload_id: str) -> None:
        """Have the server delete a model or data set that was sent, and that no job needs any more."""
        kinds = {upload["id"]: upload["links"]["self"] for upload in self.uploads()}
        _request(self._http, "DELETE", kinds.get(upload_id, f"/v1/models/{upload_id}"))


class JobHandle:
    """One job on the server."""

    def __init__(self, http: httpx.Client, job_id: str) -> None:
        self.id = job_id
        self._http = http
        self._path = f"/v1/jobs/{job_id}"

    def status(self) -> dict[str, Any]:
        """The job as the server shows it: state, stage, progress, failure."""
        return _send(self._http, "GET", self._path)

    def events(self, *, after: int = 0) -> Iterator[LoggedEvent]:
        """The job's events as they come, until it has ended; a broken connection is taken up where it broke.

        Raises:
            ServiceError: there is no such job, or the server stays away.
        """
        lost_at, wait_s, patience_s = time.monotonic(), FIRST_WAIT_S, FIRST_PATIENCE_S
        trouble: Exception | None = None
        while time.monotonic() - lost_at < patience_s:
            followed = False
            try:
                with self._http.stream("GET", f"{self._path}/events", headers=_stream_headers(after)) as response:
                    if response.status_code == httpx.codes.NO_CONTENT:
                        return
                    trouble = refusal_for_now(response)
                    if followed := trouble is None:
                        for entry in parse_events(response.iter_lines()):
                            after = entry.sequence
                            yield entry
            except httpx.TransportError as error:
                trouble = error  # the server restarts
            if followed:  # for hours perhaps, without an event in all that time
                lost_at, wait_s, patience_s = time.monotonic(), FIRST_WAIT_S, PATIENCE_S
            if trouble is not None:
                time.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise ServiceError(
            f"lost the server while following job {self.id} ({trouble}); `shrinkml events {self.id} --follow` goes on"
        )

    def past_events(self, *, after: int = 0) -> Iterator[LoggedEvent]:
        """The job's events up to now."""
        while items := _items(page := _send(self._http, "GET", f"{self._path}/events?after={after}&limit={PAGE}")):
            yield from map(LoggedEvent.from_json, items)
            after = page["next_after"]

    def wait(self, on_event: Callable[[LoggedEvent], None] | None = None) -> dict[str, Any]:
        """The job, once it has succeeded or was cancelled.

        Args:
            on_event: called with everything that happens until then, from the job's beginning.

        Raises:
            ServiceError: it failed; the message says where, why, and what to do.
        """
        for entry in self.events():
            if on_event is not None:
                on_event(entry)
        job = self.status()
        if failure := job["failure"]:
            stage = f" in stage {failure['stage']}" if failure["stage"] else ""
            raise ServiceError(f"job {self.id} failed{stage}: {failure['detail'].removesuffix('.')}. {failure['hint']}")
        return job

    def cancel(self) -> dict[str, Any]:
        """The job, cancelling: it ends within seconds and keeps the best so far."""
        return _send(self._http, "POST", f"{self._path}/cancel")

    def resume(self) -> dict[str, Any]:
        """The failed or cancelled job, queued again to go on from its last finished stage."""
        return _send(self._http, "POST", f"{self._path}/resume")

    def delete(self) -> None:
        """Have the server forget the job, which has ended, and remove all that it left there."""
        _request(self._http, "DELETE", self._path)

    def report(self) -> dict[str, Any]:
        """The job's report, as report.json has it."""
        return _send(self._http, "GET", f"{self._path}/report")

    def save_report(self, folder: Path) -> None:
        """Writes report.json and report.html to `folder`, which is made if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        for format in ("json", "html"):
            answer = _request(self._http, "GET", f"{self._path}/report?format={format}")
            (folder / f"report.{format}").write_bytes(answer.content)

    def policy(self) -> dict[str, Any]:
        """The policy that searches with dyna have learned: saved as JSON, it is another job's `search.policy`."""
        return _send(self._http, "GET", f"{self._path}/policy")

    def candidates(self) -> list[dict[str, Any]]:
        """The judged plans that no other one beats in both WER and size."""
        return _items(_send(self._http, "GET", f"{self._path}/candidates"))

    def checkpoints(self) -> list[dict[str, Any]]:
        """The checkpoints that can be downloaded: name, checkpoint, bytes, sha256, url."""
        return _items(_send(self._http, "GET", f"{self._path}/checkpoints"))

    def download(self, folder: Path, *, only: Collection[str] | None = None) -> list[Path]:
        """The folders of the job's checkpoints, below `folder`, each verified against its checksum.

        A download that broke goes on where it broke, in a later call too.

        Args:
            folder: made if it is missing.
            only: names of checkpoints; all of them unless given.

        Raises:
            ServiceError: the job has no such checkpoints, or what arrived is not what the server promised.
        """
        there = {checkpoint["checkpoint"]: checkpoint for checkpoint in self.checkpoints()}
        wanted = list(there) if only is None else list(only)
        if not wanted or not set(wanted) <= set(there):
            known = ", ".join(there) or "none: they are there once it has ended"
            raise ServiceError(f"job {self.id} lacks checkpoints {', '.join(wanted)}; it has {known}")
        return [fetch(self._http, there[name], folder) for name in wanted]


def _request(http: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    response = persistently(lambda: http.request(method, path, **options))
    raise_for_problem(response)
    return response


def _send(http: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
    answer: dict[str, Any] = _request(http, method, path, **options).json()
    return answer


def _items(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = page["items"]
    return items


def _stream_headers(after: int) -> dict[str, str]:
    headers = {"Accept": "text/event-stream"}
    return {**headers, "Last-Event-ID": str(after)} if after else headers
