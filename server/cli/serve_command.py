"""The command that starts the service."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import AllowHub
from server.cli.output import note
from server.settings import DEFAULT_HOME, DEFAULT_HOST, DEFAULT_MAX_QUEUED, DEFAULT_PORT


def serve(
    home: Annotated[
        Path, typer.Option(envvar="SHRINKML_HOME", help="Folder of the database, the log and the jobs' files.")
    ] = DEFAULT_HOME,
    host: Annotated[str, typer.Option(envvar="SHRINKML_HOST", help="Address to listen on.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="SHRINKML_PORT", help="Port; 0 lets the system choose.")
    ] = DEFAULT_PORT,
    max_queued: Annotated[
        int, typer.Option(min=1, envvar="SHRINKML_MAX_QUEUED", help="Jobs that may wait; more are refused.")
    ] = DEFAULT_MAX_QUEUED,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="SHRINKML_DATA_ROOTS",
            help="Folder that jobs may read; may be repeated. Relative paths start at the first [default: .].",
        ),
    ] = None,
    allow_hub: AllowHub = False,
) -> None:
    """Start the HTTP service and its worker; Ctrl-C stops both, and a job under way goes on at the next start.

    Example: shrinkml serve --home runs/server --port 8765
    """
    from server.serving import serve as serve_http
    from server.settings import Settings

    settings = Settings(
        home=home,
        host=host,
        port=port,
        max_queued=max_queued,
        data_roots=tuple(data_root or (Path(),)),
        allow_hub=allow_hub,
    )
    serve_http(settings, on_ready=lambda url: note(f"ShrinkML is serving at {url} (files in {home}); Ctrl-C stops it."))
