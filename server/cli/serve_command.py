"""The commands of the service's operator: start it, list its settings, and clear its home."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from server.cli.options import AllowHub, Database, DataRoots, Files, Home, LimitList, LogForm, setting
from server.cli.output import Json, note, print_json, print_table
from server.settings import Settings, listed, read_settings
from shrinkml.errors import ConfigError

DEFAULT = Settings()


def serve(
    home: Home = DEFAULT.home,
    database: Database = None,
    files: Files = None,
    worker: Annotated[bool, setting("worker", "--worker/--no-worker")] = DEFAULT.worker,
    host: Annotated[str, setting("host")] = DEFAULT.host,
    port: Annotated[int, setting("port", min=0, max=65535)] = DEFAULT.port,
    data_roots: DataRoots = None,
    allowed_hosts: Annotated[list[str] | None, setting("allowed_hosts", "--allowed-host")] = None,
    allowed_origins: Annotated[list[str] | None, setting("allowed_origins", "--allowed-origin")] = None,
    insecure: Annotated[bool, setting("insecure", "--insecure")] = DEFAULT.insecure,
    limits: LimitList = None,
    log_format: LogForm = DEFAULT.log_format,
    webhook_networks: Annotated[list[str] | None, setting("webhook_networks", "--webhook-network")] = None,
    allow_hub: AllowHub = DEFAULT.allow_hub,
) -> None:
    """Start the HTTP service and its worker; Ctrl-C stops both, and a job under way goes on at the next start.

    Example: shrinkml serve --home runs/server --port 8765
    """
    from server.auth.home_tokens import has_tokens
    from server.serving import serve as serve_http

    settings = read_settings(
        home=home,
        database=database,
        files=files,
        worker=worker,
        host=host,
        port=port,
        data_roots=data_roots,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        insecure=insecure,
        limits=limits,
        log_format=log_format,
        webhook_networks=webhook_networks,
        allow_hub=allow_hub,
    )
    if insecure and not has_tokens(settings.database_url):
        note(f"warning: whoever reaches {host} may read and write all that this service may: it has no tokens.")

    def tell(url: str) -> None:
        note(_welcome(url, settings, has_tokens=has_tokens(settings.database_url)))

    serve_http(settings, on_ready=tell)


def worker(
    home: Home = DEFAULT.home,
    database: Database = None,
    files: Files = None,
    data_roots: DataRoots = None,
    limits: LimitList = None,
    log_format: LogForm = DEFAULT.log_format,
    allow_hub: AllowHub = DEFAULT.allow_hub,
) -> None:
    """Run jobs of the servers that share the database; Ctrl-C stops, and a job under way goes on elsewhere.

    Each worker wants a home of its own.

    Example: shrinkml worker --home runs/worker --database postgresql://shrinkml@db/shrinkml --files /shared/shrinkml
    """
    from server.serving import keep_working

    settings = read_settings(
        home=home,
        database=database,
        files=files,
        data_roots=data_roots,
        limits=limits,
        log_format=log_format,
        allow_hub=allow_hub,
    )
    told = f"A worker of ShrinkML runs jobs (files in {settings.jobs_files}); Ctrl-C stops it."
    keep_working(settings, on_ready=lambda: note(told))


def settings(as_json: Json = False) -> None:
    """List the settings of the service: the variable of each, its value here and now, its default, and its use.

    Example: shrinkml settings
    """
    found = listed(present_settings())
    if as_json:
        print_json([asdict(one) for one in found])
        return
    rows = [(one.name, one.variable, _text(one.value), _text(one.default), one.words) for one in found]
    print_table(("setting", "variable", "now", "default", "use"), rows)


def gc(
    home: Home = DEFAULT.home,
    database: Database = None,
    files: Files = None,
    older_than: Annotated[
        float, typer.Option(min=0, help="Days since a job has ended, or an upload was used, from which on it may go.")
    ] = 30,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is listed; without it nothing is.")] = False,
    as_json: Json = False,
) -> None:
    """List what may go in the service's home, and why: jobs that ended long ago, unused uploads, and stray files.

    A job that may still run keeps what it names: an upload, or a model among another job's files. The service may be
    running.

    Example: shrinkml gc --older-than 90 --remove
    """
    from server import retention
    from server.home import database as file_of
    from server.stores.schema import connect
    from server.stores.sql_store import SqlJobStore
    from server.uploads.unused_uploads import remove_upload, unused_uploads
    from server.uploads.uploads import uploads_in

    if database is None and not file_of(home).is_file():  # to connect would make one
        raise ConfigError(f"{home} is no home of a service: it holds no {file_of(home).name}; name another with --home")
    settings = read_settings(home=home, database=database, files=files)
    engine = connect(settings.database_url)
    store, folder, age = SqlJobStore(engine), settings.jobs_files, timedelta(days=older_than)
    uploads = uploads_in(folder, engine)
    jobs = retention.leftovers(store, folder, older_than=age)
    gone = {one.id for one in jobs if remove and retention.remove(store, folder, one.id)}
    unused = unused_uploads(uploads, store, older_than=age)  # which no job that was just removed needs any more
    gone |= {one.id for one in unused if remove and remove_upload(uploads, store, one)}
    engine.dispose()
    found = [*jobs, *unused]
    if as_json:
        print_json([{**asdict(one), "removed": one.id in gone} for one in found])
        return
    rows = [
        (one.kind, one.id, one.why, f"{one.bytes / 1e6:.1f} MB", "removed" if one.id in gone else "") for one in found
    ]
    print_table(("of", "id", "why", "size", ""), rows)
    if found and not remove:
        note("Nothing is removed yet; with --remove it is.")


def present_settings() -> Settings:
    """Return the settings that `serve` would take here and now, without an option: from the environment."""
    app = typer.Typer(add_completion=False)
    app.command()(serve)
    return read_settings(**typer.main.get_command(app).make_context("shrinkml serve", []).params)


def _welcome(url: str, settings: Settings, *, has_tokens: bool) -> str:
    """Return what the operator is told when requests are answered."""
    served = "whoever reaches it" if settings.insecure else "this machine alone"
    access = "who asks needs a token" if has_tokens else f"without tokens, for {served}"
    return f"ShrinkML is serving at {url} (files in {settings.home}; {access}); Ctrl-C stops it."


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return value if isinstance(value, str) else json.dumps(value)
