"""The command line: `shrinkml`. What is slow to import is imported by the command that needs it."""

import os
import sys
from collections.abc import Callable

import typer

from server.cli import (
    data_commands,
    export_command,
    local_commands,
    merge_command,
    remote_commands,
    serve_command,
    token_command,
    train_command,
    trim_command,
)
from server.cli.options import JobCommand
from server.cli.output import note
from server.uploads import upload_command
from shrinkml.errors import ServiceError, ShrinkError, StageError
from shrinkml.extras import needs

FAILURES = (ServiceError, StageError)  # what went wrong elsewhere; other errors can be corrected by the user
EPILOG = "Start with: shrinkml prepare commands data/commands, then shrinkml compress configs/demo.yaml"

app = typer.Typer(
    help="Makes trained speech recognisers small.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
COMMANDS: dict[str, Callable[..., None]] = {
    "compress": local_commands.compress,
    "transcribe": local_commands.transcribe,
    "evaluate": local_commands.evaluate,
    "report": local_commands.report,
    "export": export_command.export,
    "merge": merge_command.merge,
    "trim": trim_command.trim,
    "train": train_command.train,
    "prepare": data_commands.prepare,
    "import": data_commands.import_data,
    "serve": serve_command.serve,
    "worker": serve_command.worker,
    "settings": serve_command.settings,
    "gc": serve_command.gc,
    "submit": remote_commands.submit,
    "status": remote_commands.status,
    "events": remote_commands.events,
    "cancel": remote_commands.cancel,
    "resume": remote_commands.resume,
    "delete": remote_commands.delete,
    "download": remote_commands.download,
}
GROUPS: dict[str, typer.Typer] = {"token": token_command.app, "upload": upload_command.app}
TAKING_JOBS = ("compress", "submit")
for name, command in COMMANDS.items():
    app.command(name, cls=JobCommand if name in TAKING_JOBS else None)(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """The entry point: runs a command, and says errors in one line. Exit status: 0, 1 failed, 2 to be corrected."""
    # Threads that wait must not spin: with two busy processes they make each other many times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        with needs(f"shrinkml {_asked()}"):
            app()
    except ShrinkError as error:
        note(f"error: {error}")
        sys.exit(1 if isinstance(error, FAILURES) else 2)
    except OSError as error:
        note(f"error: {error}")
        sys.exit(1)


def _asked() -> str:
    """The command on the command line."""
    return next((word for word in sys.argv[1:] if word in COMMANDS | GROUPS), "")


if __name__ == "__main__":
    main()
