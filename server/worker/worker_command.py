"""The command that starts a worker process, and the environment that it wants."""

import sys
from collections.abc import Mapping, Sequence

from server.settings import Settings

MODULE = "server.worker.work"
DATABASE_VARIABLE = "SHRINKML_DATABASE"  # on a command line everybody on the machine could read the password


def command_of(settings: Settings) -> Sequence[str]:
    """Return the command of a worker with `settings`."""
    options = ["--files", str(settings.jobs_files)]
    options += [option for root in settings.data_roots for option in ("--data-root", str(root))]
    options += ["--limits", settings.limits.model_dump_json(), "--log-format", settings.log_format]
    options += ["--allow-hub"] if settings.allow_hub else []
    return (sys.executable, "-m", MODULE, str(settings.home), *options)


def environment_of(settings: Settings) -> Mapping[str, str]:
    """Return the variables that a worker with `settings` wants beside those of this process."""
    return {DATABASE_VARIABLE: settings.database.get_secret_value() if settings.database else ""}
