"""Options, and a help, that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

Home = Annotated[
    Path, typer.Option(envvar="SHRINKML_HOME", help="Folder of the database, the log and the jobs' files.")
]
AllowHub = Annotated[
    bool,
    typer.Option(
        "--allow-hub",
        envvar="SHRINKML_ALLOW_HUB",
        help="Jobs may name models of the Hugging Face hub (hf:openai/whisper-tiny), which are then fetched.",
    ),
]


class JobCommand(TyperCommand):
    """A command whose help ends with the names that a job may have in its fields."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the names of every table."""
        from server.jobs.job_names import NAMED_FIELDS

        with formatter.section("Names in a job"):
            formatter.write_dl([(named.path, named.known) for named in NAMED_FIELDS])
