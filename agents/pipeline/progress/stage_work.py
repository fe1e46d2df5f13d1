"""The work of stages in passes of utterances through the model, and the pace at which this machine does it.

A stage tells what it will do before it does it. How long a pass takes is known roughly for the reference task, and
learned from every stage that ends: the model of a user may take a thousand times as long. The rules are our own.
"""

from dataclasses import astuple, dataclass, field, fields

REMEMBERED = 0.2  # of the time foreseen: a stage that took less was spared its work by a cache, and tells of no pace


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a job's speech and model.

    Attributes:
        train: utterances that are learned from.
        dev: utterances.
        test: utterances.
        proxy: utterances that plans are judged on.
        layers: that may be factorized.
    """

    train: int = 12_000
    dev: int = 1_000
    test: int = 1_000
    proxy: int = 200
    layers: int = 20


@dataclass(frozen=True, slots=True)
class Work:
    """The work of a stage.

    Attributes:
        transcribed: utterances that a model writes down.
        forced: utterances that it is fed with their transcripts.
        trained: utterances that it learns from, counted in each pass.
        seconds: everything else, on the reference task's machine.
    """

    transcribed: float = 0.0
    forced: float = 0.0
    trained: float = 0.0
    seconds: float = 0.0


REFERENCE = Work(transcribed=0.0025, forced=0.001, trained=0.0017, seconds=1.0)  # seconds of each on two cores


@dataclass(slots=True)
class Pace:
    """Seconds that a unit of each kind of work takes.

    Attributes:
        each: by kind.
        learned: kinds that were measured.
    """

    each: dict[str, float] = field(default_factory=lambda: _by_kind(REFERENCE))
    learned: set[str] = field(default_factory=set)

    def copy(self) -> "Pace":
        """A pace of its own, the same so far."""
        return Pace({**self.each}, {*self.learned})

    def seconds(self, work: Work) -> float:
        """The time that `work` is foreseen to take."""
        return sum(self.each[kind] * n for kind, n in _by_kind(work).items())

    def learn(self, work: Work, seconds: float) -> None:
        """Note that `work` took `seconds`: all its kinds, and those never measured, took as much longer."""
        foreseen = self.seconds(work)
        if foreseen <= 0.0 or seconds < REMEMBERED * foreseen:
            return
        done = {kind for kind, n in _by_kind(work).items() if self.each[kind] * n > REMEMBERED * foreseen}
        done -= {"seconds"} if len(done) > 1 else set()  # a slow model says nothing of the rest
        changed = done if done & self.learned else done | (self.each.keys() - self.learned - {"seconds"})
        for kind in changed:
            self.each[kind] *= seconds / foreseen
        self.learned |= done


def _by_kind(work: Work) -> dict[str, float]:
    return dict(zip((kind.name for kind in fields(work)), astuple(work), strict=True))
