"""Commands that speak to a server."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.output import INTERRUPTED, Json, ProgressView, duration, note, print_json, print_table
from shrinkml.client import DEFAULT_URL, Client, JobHandle
from shrinkml.events import LoggedEvent

Url = Annotated[str, typer.Option(envvar="SHRINKML_URL", help="Address of the server.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job; `shrinkml status` lists them.")]


def submit(
    config: Annotated[Path, typer.Argument(help="The job, as YAML; see configs/demo.yaml.")],
    wait: Annotated[bool, typer.Option("--wait", help="Follow the job until it has ended.")] = False,
    priority: Annotated[
        int, typer.Option(min=-100, max=100, help="Of your jobs that wait, the one of the highest is next.")
    ] = 0,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Hand a job to the server and print its id.

    Example: shrinkml submit configs/demo.yaml --wait
    """
    with Client(url) as client:
        job = client.submit(config, priority=priority)
        if not wait:
            print_json(job.status()) if as_json else print(job.id)
            return
        with detaching(job), ProgressView() as view:
            note(f"job {job.id}")
            status = job.wait(on_event=lambda entry: view.on_event(entry.event))
        print_json(status) if as_json else _print_status(status, [it["checkpoint"] for it in job.checkpoints()])


def status(
    job_id: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Id of a job; all jobs if left out.")] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Show one job, or list them all.

    Example: shrinkml status
    """
    with Client(url) as client:
        if job_id is not None:
            handle = client.job(job_id)
            job = handle.status()
            print_json(job) if as_json else _print_status(job, [it["checkpoint"] for it in handle.checkpoints()])
            return
        jobs = client.jobs()
    if as_json:
        print_json(jobs)
    else:
        rows = [(j["id"], j["state"], _percent(j), _stage(j), j["transitions"][0]["at"][:19]) for j in jobs]
        print_table(("job", "state", "done", "stage", "submitted (UTC)"), rows)


def events(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until the job has ended.")] = False,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the numbers there too, for tensorboard --logdir."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the judged plans there too, for optuna-dashboard.")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Print what happened in a job; Ctrl-C detaches and leaves the job alone.

    Example: shrinkml events demo-1f2e3d4c --follow
    """
    with Client(url) as client:
        job = client.job(job_id)
        with detaching(job), sinks(job_id, tensorboard, study) as write:
            for entry in job.events(after=after) if follow else job.past_events(after=after):
                write(entry)
                if as_json:
                    print_json(entry.to_json(), one_line=True)
                else:
                    print(f"{entry.sequence:>6}  {entry.at:%H:%M:%S}  {entry.event.message}", flush=True)


def cancel(job_id: JobId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Stop a job within seconds; what it has found is kept, and it can be resumed.

    Example: shrinkml cancel demo-1f2e3d4c
    """
    with Client(url) as client:
        _answer(client.job(job_id).cancel(), as_json)
    note(f"In a few seconds, `shrinkml status {job_id}` names the checkpoint of the best so far, if there is one.")


def resume(job_id: JobId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Go on with a failed or cancelled job, from its last finished stage.

    Example: shrinkml resume demo-1f2e3d4c
    """
    with Client(url) as client:
        _answer(client.job(job_id).resume(), as_json)


def delete(job_id: JobId, url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """Have the server forget a job that has ended, and remove its checkpoints and all else that it left there.

    Example: shrinkml delete demo-1f2e3d4c
    """
    with Client(url) as client:
        client.job(job_id).delete()
    print_json({"deleted": job_id}) if as_json else print(f"{job_id} is deleted")


def download(
    job_id: JobId,
    folder: Annotated[Path, typer.Argument(help="Where the checkpoints go, a folder each.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Name of a checkpoint; may be repeated [default: all].")
    ] = None,
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Fetch a job's checkpoints, and verify them against their checksums.

    A download that broke goes on where it broke.

    Example: shrinkml download demo-1f2e3d4c small --only final
    """
    with Client(url) as client:
        folders = [str(path) for path in client.job(job_id).download(folder, only=only)]
    print_json(folders) if as_json else print("\n".join(folders))


@contextmanager
def sinks(job_id: str, tensorboard: Path | None, study: Path | None) -> Iterator[Callable[[LoggedEvent], None]]:
    """Give what writes an event of the job to the sinks that are asked for."""
    with ExitStack() as opened:
        writers: list[Callable[[LoggedEvent], None]] = []
        if tensorboard is not None:
            from server.sinks.tensorboard_sink import to_tensorboard

            writers.append(opened.enter_context(to_tensorboard(tensorboard)))
        if study is not None:
            from server.sinks.study_sink import to_study

            writers.append(to_study(study, job_id))

        def write(entry: LoggedEvent) -> None:
            for writer in writers:
                writer(entry)

        yield write


@contextmanager
def detaching(job: JobHandle) -> Iterator[None]:
    """Ctrl-C ends the watching, not the job."""
    try:
        yield
    except KeyboardInterrupt:
        note(f"\nDetached; the job goes on. Come back with: shrinkml events {job.id} --follow")
        raise typer.Exit(INTERRUPTED) from None


def _answer(job: dict[str, Any], as_json: bool) -> None:
    print_json(job) if as_json else print(f"{job['id']} is {job['state']}")


def _print_status(job: dict[str, Any], checkpoints: Sequence[str]) -> None:
    progress = job["progress"] or {}
    left = progress.get("seconds_left")
    rows = [
        ("job", job["id"]),
        ("owner", job.get("owner") or ""),  # servers of an older version know of none
        ("state", job["state"]),
        ("stage", _stage(job)),
        ("done", _percent(job)),
        ("plans", f"{progress.get('evaluations_done', 0)} of {progress.get('evaluations_total', 0)}"),
        ("time left", "" if left is None or job["state"] != "running" else duration(left)),
    ]
    if checkpoints:
        rows += [("checkpoints", ", ".join(checkpoints)), ("", f"shrinkml download {job['id']} FOLDER fetches them")]
    if job["failure"]:
        rows += [("problem", job["failure"]["detail"]), ("what to do", job["failure"]["hint"])]
    print_table(("", ""), [row for row in rows if row[1]])


def _percent(job: dict[str, Any]) -> str:
    return f"{job['progress']['fraction']:.0%}" if job["progress"] else ""


def _stage(job: dict[str, Any]) -> str:
    return str(job["stage"]["name"]) if job["stage"] else ""
