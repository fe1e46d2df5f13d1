"""Options that several commands share, those of the service's settings, and a help for those that take a job."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from server.log_lines import LogFormat
from server.settings import variable_of, words_of


def setting(name: str, *flags: str, **more: Any) -> Any:
    """Return the option `flags` of the setting `name`, with its words and its variable; `more` as typer has it."""
    return typer.Option(*flags, envvar=variable_of(name), help=words_of(name), **more)


Home = Annotated[Path, setting("home")]
Database = Annotated[str | None, setting("database")]
Files = Annotated[Path | None, setting("files")]
DataRoots = Annotated[list[Path] | None, setting("data_roots", "--data-root", show_default=".")]
LimitList = Annotated[list[str] | None, setting("limits", "--limit", metavar="NAME=VALUE")]
LogForm = Annotated[LogFormat, setting("log_format")]
AllowHub = Annotated[bool, setting("allow_hub", "--allow-hub")]


class JobCommand(TyperCommand):
    """A command whose help ends with the names that a job may have in its fields."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the names of every table."""
        from server.jobs.job_names import NAMED_FIELDS

        with formatter.section("Names in a job"):
            formatter.write_dl([(named.path, named.known) for named in NAMED_FIELDS])
