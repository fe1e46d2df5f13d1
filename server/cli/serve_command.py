"""The command that starts the service."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import AllowHub
from server.cli.output import note
from server.log_lines import LogFormat
from server.settings import DEFAULT_HOME, DEFAULT_HOST, DEFAULT_PORT


def serve(
    home: Annotated[
        Path, typer.Option(envvar="SHRINKML_HOME", help="Folder of the database, the log and the jobs' files.")
    ] = DEFAULT_HOME,
    host: Annotated[str, typer.Option(envvar="SHRINKML_HOST", help="Address to listen on.")] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, envvar="SHRINKML_PORT", help="Port; 0 lets the system choose.")
    ] = DEFAULT_PORT,
    data_root: Annotated[
        list[Path] | None,
        typer.Option(
            envvar="SHRINKML_DATA_ROOTS",
            help="Folder that jobs may read; may be repeated. Relative paths start at the first [default: .].",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHRINKML_ALLOWED_HOSTS",
            help="Name that the server is reached by, beside localhost and addresses in figures; may be repeated.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            envvar="SHRINKML_INSECURE",
            help="Listen where other machines reach the service, which asks none of them for a password.",
        ),
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHRINKML_LIMITS",
            metavar="NAME=VALUE",
            help="Limit on requests or jobs, such as jobs_waiting=4; may be repeated. docs/http.md lists them.",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="SHRINKML_LOG_FORMAT", help="Format of the logs of the server and its worker.")
    ] = LogFormat.TEXT,
    allow_hub: AllowHub = False,
) -> None:
    """Start the HTTP service and its worker; Ctrl-C stops both, and a job under way goes on at the next start.

    Example: shrinkml serve --home runs/server --port 8765
    """
    from server.limits import parse_limits
    from server.serving import serve as serve_http
    from server.settings import Settings

    settings = Settings(
        home=home,
        host=host,
        port=port,
        data_roots=tuple(data_root or (Path(),)),
        allowed_hosts=tuple(allowed_host or ()),
        insecure=insecure,
        limits=parse_limits(limit or ()),
        log_format=log_format,
        allow_hub=allow_hub,
    )
    if insecure:
        note(f"warning: whoever reaches {host} may read and write all that this service may: it asks for no password.")
    serve_http(settings, on_ready=lambda url: note(f"ShrinkML is serving at {url} (files in {home}); Ctrl-C stops it."))
