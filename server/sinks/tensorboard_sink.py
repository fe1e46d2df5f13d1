"""The numbers of events as scalars of TensorBoard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tensorboardX import SummaryWriter

from shrinkml.events import LoggedEvent

FLUSH_S = 5  # until what was written can be seen


@contextmanager
def to_tensorboard(folder: Path) -> Iterator[Callable[[LoggedEvent], None]]:
    """Give what writes an event to `folder`, for `tensorboard --logdir`.

    A number of an event is a scalar STAGE/KIND/NAME, whose step is the event's own number: what is written twice is
    the same twice.
    """
    writer = SummaryWriter(logdir=str(folder), flush_secs=FLUSH_S)

    def write(entry: LoggedEvent) -> None:
        event, at = entry.event, entry.at.timestamp()
        for name, value in event.data.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                writer.add_scalar(f"{event.stage}/{event.kind}/{name}", value, entry.sequence, at)
        if event.progress is not None:
            writer.add_scalar("progress", event.progress.fraction, entry.sequence, at)

    try:
        yield write
    finally:
        writer.close()
