"""The row of Transformers of our own in the table of families; loads no torch."""

from shrinkml.models.family import Operations
from shrinkml.models.trainable.trainable_family import trainable_family


def _operations() -> Operations:
    from shrinkml.models.transformer.transformer_operations import OPERATIONS

    return OPERATIONS


TRANSFORMER = trainable_family("transformer", _operations)
