"""Archives to the service: sent in parts, each with its checksum; what broke goes on where it broke."""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx

from shrinkml.errors import ServiceError
from shrinkml.transport import FIRST_WAIT_S, PASSING, persistently, raise_for_problem

PART_BYTES = 8 << 20
LOOK_S = 0.5  # between two looks at a check
PATIENCE_S = 60.0  # without a byte that has come; a server takes a moment to see that a connection is gone
LONGEST_WAIT_S = 5.0  # between two tries
LATER = (*PASSING, httpx.codes.REQUEST_TIMEOUT, httpx.codes.CONFLICT)  # answers to a part that may be others later

OnProgress = Callable[[int, int], None]  # bytes that have come, and of how many


def send(http: httpx.Client, path: str, archive: Path, *, on_progress: OnProgress | None = None) -> dict[str, Any]:
    """Return the upload of `archive`, as the service shows it, once it is ready for jobs.

    Args:
        http: a connection to the service.
        path: of its uploads of that kind, "/v1/models".
        archive: a zip or a tar. What an earlier call sent of it is not sent again.
        on_progress: called with the bytes that have come, and those of the archive.

    Raises:
        ServiceError: the server is gone, or refuses the archive.
    """
    with archive.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    body = {"name": archive.name, "bytes": archive.stat().st_size, "sha256": sha256}
    upload = _ask(http, "POST", path, json=body)
    came_at, n_failed = time.monotonic(), 0
    while upload["state"] == "receiving":
        if on_progress is not None:
            on_progress(upload["received"], upload["bytes"])
        before = upload["received"]
        problem = _send_part(http, upload, archive)
        upload = _ask(http, "GET", upload["links"]["self"])
        if upload["received"] > before:
            came_at, n_failed = time.monotonic(), 0
        elif upload["state"] == "receiving":
            if time.monotonic() - came_at > PATIENCE_S:
                raise ServiceError(f"{archive.name}: {problem or upload['problem']}; the same again goes on from here")
            time.sleep(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**n_failed))
            n_failed += 1
    if on_progress is not None:
        on_progress(upload["bytes"], upload["bytes"])
    while upload["state"] == "checking":
        time.sleep(LOOK_S)
        upload = _ask(http, "GET", upload["links"]["self"])
    if upload["state"] != "ready":
        raise ServiceError(f"{archive.name} is {upload['state']}: {upload['problem']}")
    return upload


def _send_part(http: httpx.Client, upload: Mapping[str, Any], archive: Path) -> str | None:
    """Send the next part of `archive`, and return what went wrong that may go well another time, if something did.

    Raises:
        ServiceError: the server refuses it for good.
    """
    first, total = upload["received"], upload["bytes"]
    with archive.open("rb") as file:
        file.seek(first)
        part = file.read(PART_BYTES)
    digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
    headers = {"Content-Digest": f"sha-256=:{digest}:", "Content-Type": "application/octet-stream"}
    if part:
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{total}"
    try:
        response = http.put(upload["links"]["content"], content=part, headers=headers)
    except httpx.TransportError as error:
        return f"the connection broke ({error})"
    if response.status_code in LATER:
        return str(response.json()["detail"])
    raise_for_problem(response)
    return None


def _ask(http: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
    response = persistently(lambda: http.request(method, path, **options))
    raise_for_problem(response)
    answer: dict[str, Any] = response.json()
    return answer
