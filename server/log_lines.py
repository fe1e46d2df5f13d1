"""The lines of a log: text for people, or JSON for programs; both say which request they are about."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from server.log_context import JOB_ID, REQUEST_ID
from shrinkml.job import printable


class LogFormat(StrEnum):
    """The format of the logs."""

    TEXT = "text"
    JSON = "json"


class TextLines(logging.Formatter):
    """A message on a line, what led to an error below it. Messages about a job name it themselves."""

    def __init__(self) -> None:
        """Write the time, the module, the level and the message."""
        super().__init__("%(asctime)s %(name)s %(levelname)s %(message)s%(of_request)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        request_id = REQUEST_ID.get()
        record.of_request = f" (request {request_id})" if request_id else ""
        return super().format(record)


class JsonLines(logging.Formatter):
    """An object on a line: at, level, logger, message, and where they are known request_id, job_id and error.

    Only these: nothing else that a library notes on its messages gets into the log.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": REQUEST_ID.get(),
            "job_id": getattr(record, "job_id", JOB_ID.get()),
            "error": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: printable(value) for name, value in line.items() if value}, ensure_ascii=False)


LINES: Mapping[LogFormat, type[logging.Formatter]] = {LogFormat.TEXT: TextLines, LogFormat.JSON: JsonLines}
