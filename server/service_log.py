"""The logs of the service's processes: of the server a file, and standard error for what needs somebody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.log_lines import LINES, LogFormat


@contextmanager
def logging_to(path: Path, form: LogFormat = LogFormat.TEXT) -> Iterator[None]:
    """Append the messages of this process to the file `path`, warnings and errors also to standard error."""
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = (logging.FileHandler(path), logging.StreamHandler())
    handlers[1].setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(LINES[form]())
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def log_to_stderr(form: LogFormat) -> None:
    """Write the messages of this process to standard error: of a worker, the server keeps what it writes there."""
    handler = logging.StreamHandler()
    handler.setFormatter(LINES[form]())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
