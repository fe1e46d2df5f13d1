"""Help of the commands that take a job: its names, which are looked up when the help is printed."""

from typing import Any

from typer.core import TyperCommand


class JobCommand(TyperCommand):
    """A command whose help ends with the names that a job may have in its fields."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the names of every table."""
        from server.jobs.job_names import NAMED_FIELDS

        with formatter.section("Names in a job"):
            formatter.write_dl([(named.path, named.known) for named in NAMED_FIELDS])
