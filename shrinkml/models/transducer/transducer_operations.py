"""Building, reading, writing and drawing transducers."""

from typing import TYPE_CHECKING

from shrinkml.models.trainable.trainable_operations import Trainables
from shrinkml.models.transducer.transducer import Transducer, TransducerConfig
from shrinkml.models.transducer.transducer_stream import TransducerStream

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn
    from shrinkml.export.stock import Layout


def draw(model: Transducer) -> "Drawn":
    """The graphs of `model`."""
    from shrinkml.models.transducer import transducer_graph

    return transducer_graph.draw(model)


def _sherpa() -> "Layout":
    from shrinkml.models.transducer.sherpa_transducer import SHERPA_TRANSDUCER

    return SHERPA_TRANSDUCER


OPERATIONS = Trainables(Transducer, TransducerConfig).operations(
    draw,
    stream=TransducerStream,
    first_pass=Transducer.first_pass,
    layouts={"sherpa-onnx": _sherpa},
)
