"""Building, reading, writing, drawing and exporting LAS models."""

from typing import TYPE_CHECKING

from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.trainable.trainable_operations import Trainables

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn


def draw(model: Las) -> "Drawn":
    """The graphs of `model`."""
    from shrinkml.models.las import las_graph

    return las_graph.draw(model)


LAS_MODELS = Trainables(Las, LasConfig)
OPERATIONS = LAS_MODELS.operations(draw)
