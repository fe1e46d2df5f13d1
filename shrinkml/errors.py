"""Every error that ShrinkML raises on purpose.

Each class also inherits the builtin that it specialises, so that callers who do not know ShrinkML can still catch it.
A message gives the value found, what is allowed, and what to do.
"""


class ShrinkError(Exception):
    """Base of all of ShrinkML's errors."""


class UnknownNameError(ShrinkError, KeyError):
    """A name that no table holds."""

    def __str__(self) -> str:
        # KeyError would show the repr of its argument, quotes and all.
        return str(self.args[0]) if self.args else ""


class MissingPackageError(ShrinkError, ImportError):
    """A part of ShrinkML whose requirements are not installed."""


class AudioError(ShrinkError, ValueError):
    """An audio file that cannot be read, or a waveform that no recogniser can use."""


class ManifestError(ShrinkError, ValueError):
    """A manifest with problems; the message lists every one with its line."""


class ScoringError(ShrinkError, ValueError):
    """References and hypotheses that cannot be scored."""


class RankError(ShrinkError, ValueError):
    """A rank outside the range that its layer allows."""


class PlanError(ShrinkError, ValueError):
    """A plan that does not fit the model: unknown layer, nothing to factorize, budget out of reach."""


class CalibrationError(ShrinkError, ValueError):
    """Calibration statistics that cannot be used."""


class CheckpointError(ShrinkError, ValueError):
    """A folder that is no ShrinkML checkpoint, or a broken one."""


class ExportError(ShrinkError, ValueError):
    """A model that cannot be exported, or a folder that holds no exported one."""


class PrecisionError(ShrinkError, ValueError):
    """A precision that a model cannot be had in."""


class ConfigError(ShrinkError, ValueError):
    """A configuration that fails validation; the message names field, value and what is allowed."""


class StoppedError(ShrinkError, RuntimeError):
    """Work that ended early because its caller asked for it.

    Attributes:
        best: name of the checkpoint that holds the best result so far, where there is one.
    """

    def __init__(self, message: str = "", *, best: str | None = None) -> None:
        super().__init__(message)
        self.best = best


class StageError(ShrinkError, RuntimeError):
    """A pipeline stage that could not finish."""


class LostProcessError(ShrinkError, RuntimeError):
    """A process of a job's that was killed from outside, perhaps for want of memory: the model is not at fault."""


class ServiceError(ShrinkError, RuntimeError):
    """The server answered with a problem; the message is its title and detail."""
