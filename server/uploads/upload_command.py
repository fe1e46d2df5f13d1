"""Commands that send models and data sets to a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TransferSpeedColumn

from agents.pipeline.progress.parts import in_parts
from server.cli.output import INTERRUPTED, Json, note, print_json, print_table
from server.cli.remote_commands import Url
from shrinkml.client import DEFAULT_URL, Client
from shrinkml.upload import OnProgress

STEPS = 10  # lines about one upload where standard error is no terminal

app = typer.Typer(
    help="Send models and data sets to a server, list and delete them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def model(
    path: Annotated[
        Path, typer.Argument(help="Folder of a checkpoint or transformers model; or a .zip or .tar of one.")
    ],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Send a model, and print the name that a job gives it. What broke off goes on with the same command.

    Example: shrinkml upload model path/to/model
    """
    with Client(url) as client, _bar(path.name) as on_progress:
        sent = client.upload_model(path, on_progress=on_progress)
    print_json(sent) if as_json else print(sent["model"]["name"])


@app.command()
def dataset(
    paths: Annotated[list[Path], typer.Argument(metavar="MANIFEST...", help="Manifests; or one .zip or .tar of them.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Send manifests with their audio, and print the names that a job gives them. What broke off goes on.

    Example: shrinkml upload dataset data/train.jsonl data/dev.jsonl data/test.jsonl
    """
    with Client(url) as client, _bar(paths[0].name) as on_progress:
        sent = client.upload_dataset(paths, on_progress=on_progress)
    print_json(sent) if as_json else print("\n".join(it["reference"] for it in sent["manifests"]))


@app.command("list")
def list_uploads(url: Url = DEFAULT_URL, as_json: Json = False) -> None:
    """List the models and data sets that you have sent.

    Example: shrinkml upload list
    """
    with Client(url) as client:
        found = client.uploads()
    if as_json:
        print_json(found)
    else:
        print_table(("upload", "kind", "name", "state", "size", "in jobs"), [_row(upload) for upload in found])


@app.command()
def delete(
    upload_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the upload; `shrinkml upload list` shows it.")],
    url: Url = DEFAULT_URL,
    as_json: Json = False,
) -> None:
    """Delete a model or data set that you have sent, and that no job needs any more.

    Example: shrinkml upload delete 1f2e3d4c5b6a7988
    """
    with Client(url) as client:
        client.delete_upload(upload_id)
    print_json({"deleted": upload_id}) if as_json else print(f"{upload_id} is deleted")


def _row(upload: dict[str, Any]) -> tuple[str, ...]:
    state = upload["state"]
    if state == "receiving":
        state = f"{upload['received'] / upload['bytes']:.0%} received"
    names = [it["reference"] for it in upload["manifests"]] + ([upload["model"]["name"]] if upload["model"] else [])
    size = f"{upload['bytes'] / 1e6:.1f} MB"
    return (upload["id"], upload["kind"], upload["name"], state, size, upload["problem"] or ", ".join(names))


@contextmanager
def _bar(name: str) -> Iterator[OnProgress]:
    """Show on standard error how much has come, as a bar or in lines; Ctrl-C tells how to go on."""
    console = Console(stderr=True)
    columns = (TextColumn(name), BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn())

    def tell(part: int, received: int, total: int) -> None:
        note(f"{name}: {received / 1e6:.1f} of {total / 1e6:.1f} MB")

    in_lines = in_parts(STEPS, tell)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def on_progress(received: int, total: int) -> None:
            bar.update(task, completed=received, total=total)
            if not console.is_terminal:
                in_lines(received, total)

        try:
            yield on_progress
        except KeyboardInterrupt:
            note("\nBroken off; the same command goes on from here.")
            raise typer.Exit(INTERRUPTED) from None
