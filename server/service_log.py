"""The log of the server's process: a file for all that happens, standard error for what needs somebody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append the messages of this process to the file `path`, warnings and errors also to standard error."""
    root, level = logging.getLogger(), logging.getLogger().level
    handlers = (logging.FileHandler(path), logging.StreamHandler())
    handlers[1].setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
