"""Refusals and failures of the service, beside the errors of the core."""

from shrinkml.errors import ShrinkError


class UnauthenticatedError(ShrinkError, PermissionError):
    """A request without a token that is good, where one is needed."""


class UnknownTokenError(ShrinkError, LookupError):
    """A token id that the store does not hold."""


class UnknownJobError(ShrinkError, LookupError):
    """A job id that the store does not hold."""


class UnknownUploadError(ShrinkError, LookupError):
    """An upload id that the store does not hold."""


class UnreadableJobError(ShrinkError, ValueError):
    """A job in the store that this version cannot read."""


class TransitionError(ShrinkError, RuntimeError):
    """A job or an upload asked to do what its state does not allow."""


class ClaimLostError(ShrinkError, RuntimeError):
    """A worker that wants to write about a job that is no longer its own."""


class QueueFullError(ShrinkError, RuntimeError):
    """More jobs wait than the server accepts."""


class OwnerLimitError(ShrinkError, RuntimeError):
    """More jobs of one owner that wait or run than the token allows."""


class UploadSizeError(ShrinkError, ValueError):
    """An archive that is larger than the server takes one, or than its owner has room for."""


class UploadPartError(ShrinkError, ValueError):
    """A part of an archive that does not say rightly where it belongs, or arrived as another one."""


class ArchiveError(ShrinkError, ValueError):
    """An archive that is not what was announced, or cannot be unpacked safely."""


class RequestTimeoutError(ShrinkError, TimeoutError):
    """A body of which nothing more came in time."""


class UnknownWebhookError(ShrinkError, LookupError):
    """The id of a webhook that there is not."""


class ForbiddenTargetError(ShrinkError, PermissionError):
    """An address that webhooks may not reach."""


class RateLimitError(ShrinkError, RuntimeError):
    """More requests with one token than the server answers in a minute; `retry_after_s` until it answers again."""

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BusyError(ShrinkError, RuntimeError):
    """As much of a kind is done at once as the server bears."""


class HomeLostError(ShrinkError, RuntimeError):
    """A home folder that is no longer there, or another one: what would be written is lost."""


class DiskFullError(ShrinkError, OSError):
    """Less space on the disk than is asked for, or none."""


class JobLimitError(ShrinkError, RuntimeError):
    """A job that took more than the server gives to one."""


class TimeLimitError(JobLimitError):
    """A job that ran for longer than the server lets one."""


class DiskLimitError(JobLimitError):
    """A job whose files take more than the server gives to one."""


class PreconditionError(ShrinkError, RuntimeError):
    """A file that is not the one that the client has."""


class StoreBusyError(ShrinkError, RuntimeError):
    """A store that could not make a change because others kept changing the same."""


class KeyReusedError(ShrinkError, ValueError):
    """An idempotency key that came before with another job."""


class ForbiddenPathError(ShrinkError, PermissionError):
    """A path outside the folders that the server may read."""


class MissingArtefactError(ShrinkError, LookupError):
    """A report or checkpoint that a job does not have, or not yet."""


class InvalidNameError(ShrinkError, ValueError):
    """A name that cannot be a file's."""


class RangeError(ShrinkError, ValueError):
    """A byte range outside the file, whose `size` in bytes the answer tells."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.size = size


class HomeInUseError(ShrinkError, RuntimeError):
    """A home folder that another server or worker works in."""
