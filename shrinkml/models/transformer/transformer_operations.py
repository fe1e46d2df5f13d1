"""Building, reading, writing and drawing Transformers."""

from typing import TYPE_CHECKING

from shrinkml.models.trainable.trainable_operations import Trainables
from shrinkml.models.transformer.transformer import Transformer
from shrinkml.models.transformer.transformer_shape import TransformerConfig

if TYPE_CHECKING:  # it loads onnx
    from shrinkml.export.drawn import Drawn


def draw(model: Transformer) -> "Drawn":
    """The graphs of `model`."""
    from shrinkml.models.transformer import transformer_graph

    return transformer_graph.draw(model)


OPERATIONS = Trainables(Transformer, TransformerConfig).operations(draw)
