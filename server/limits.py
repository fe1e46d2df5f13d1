"""The limits of a service: what it takes at once from its clients, and what it gives to a job."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shrinkml.errors import ConfigError

GB = 10**9


class Limits(BaseModel):
    """The limits, each with its unit in its name or its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    body_bytes: int = Field(128 * 1024, ge=1024, description="Bytes of a request's body.")
    list_items: int = Field(256, ge=1, description="Items of any list, and fields of any object, in a body.")
    problems_told: int = Field(20, ge=1, description="Wrong fields that an answer names; of the rest, the number.")
    manifest_bytes: int = Field(64 * 1024 * 1024, ge=1, description="Bytes of a manifest.")
    texts_bytes: int = Field(8 * 1024 * 1024, ge=1, description="Bytes of a file of texts.")
    lines_checked: int = Field(
        100, ge=1, description="Lines of each manifest that are checked while the client waits; the worker checks all."
    )
    model_files: int = Field(1000, ge=1, description="Files and folders in a model's folder.")
    jobs_waiting: int = Field(16, ge=1, description="Jobs that may wait.")
    admissions: int = Field(8, ge=1, description="Jobs that are checked at once, before they are accepted.")
    connections: int = Field(512, ge=8, description="Connections at once; beyond them, the one idle for longest goes.")
    streams: int = Field(64, ge=1, description="Event streams at once.")
    streams_per_owner: int = Field(16, ge=1, description="Event streams of one owner of tokens at once.")
    webhooks_per_owner: int = Field(8, ge=1, description="Webhooks that one owner may register.")
    requests_per_minute: int = Field(1200, ge=1, description="Requests with one token in a minute.")
    request_s: float = Field(
        20.0, gt=0, description="Seconds for a request to arrive whole, and for a client to take in more of an answer."
    )
    silence_s: float = Field(60.0, gt=0, description="Seconds without a sign of life until a worker is replaced.")
    free_gb: float = Field(1.0, ge=0, description="GB (10^9 bytes) that must be free where the home lies.")
    upload_gb: float = Field(20.0, gt=0, description="GB of an uploaded archive, and of the files in it.")
    upload_files: int = Field(100_000, ge=1, description="Files and folders in an uploaded archive.")
    upload_ratio: float = Field(
        20.0, ge=1, description="Bytes of the files in an uploaded archive, for each byte of it."
    )
    uploads: int = Field(1000, ge=1, description="Uploads of one owner.")
    job_gb: float = Field(50.0, gt=0, description="GB of files that a job may take in the home.")
    job_hours: float = Field(168.0, gt=0, description="Hours that a job may run, from its last start or resumption.")

    @property
    def upload_bytes(self) -> int:
        """Bytes of an uploaded archive, and of the files in it."""
        return int(self.upload_gb * GB)


DEFAULT_LIMITS = Limits()


def parse_limits(assignments: Iterable[str]) -> Limits:
    """Return the limits with those that `assignments` ("jobs_waiting=4") set.

    Raises:
        ConfigError: no such limit, or a value that it cannot have.
    """
    pairs = [assignment.partition("=") for assignment in assignments]
    try:
        return Limits.model_validate({name: value for name, _, value in pairs})
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][0]}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors())
        raise ConfigError(f"--limit {wrong}; known: {', '.join(Limits.model_fields)}") from error
