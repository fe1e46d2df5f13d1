"""The command that starts the service."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.options import AllowHub, Home
from server.cli.output import note
from server.settings import DEFAULT_HOME, DEFAULT_HOST, DEFAULT_PORT, Settings


def serve(
    home: Home = DEFAULT_HOME,
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
            help="Listen where other machines reach the service though it has no tokens and serves them all.",
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
    allow_hub: AllowHub = False,
) -> None:
    """Start the HTTP service and its worker; Ctrl-C stops both, and a job under way goes on at the next start.

    Example: shrinkml serve --home runs/server --port 8765
    """
    from server.auth.home_tokens import has_tokens
    from server.limits import parse_limits
    from server.serving import serve as serve_http

    settings = Settings(
        home=home,
        host=host,
        port=port,
        data_roots=tuple(data_root or (Path(),)),
        allowed_hosts=tuple(allowed_host or ()),
        insecure=insecure,
        limits=parse_limits(limit or ()),
        allow_hub=allow_hub,
    )
    if insecure and not has_tokens(home):
        note(f"warning: whoever reaches {host} may read and write all that this service may: it has no tokens.")
    serve_http(settings, on_ready=lambda url: note(_welcome(url, settings, has_tokens=has_tokens(home))))


def _welcome(url: str, settings: Settings, *, has_tokens: bool) -> str:
    """Return what the operator is told when requests are answered."""
    served = "whoever reaches it" if settings.insecure else "this machine alone"
    access = "who asks needs a token" if has_tokens else f"without tokens, for {served}"
    return f"ShrinkML is serving at {url} (files in {settings.home}; {access}); Ctrl-C stops it."
