"""The entry point of the command line where not even its own packages need be installed."""

import sys

from shrinkml.errors import MissingPackageError
from shrinkml.extras import needs


def main() -> None:
    """Run the command line, or say in one line what it needs. Exit status: its own, 2 where it cannot start."""
    try:
        with needs("the command line"):
            from server.cli.main import main as run
    except MissingPackageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    run()
