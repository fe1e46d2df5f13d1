"""The row of LAS in the table of families; loads no torch."""

from shrinkml.models.family import Operations
from shrinkml.models.trainable.trainable_family import trainable_family


def _operations() -> Operations:
    from shrinkml.models.las.las_operations import OPERATIONS

    return OPERATIONS


LAS = trainable_family("las", _operations, lstms_of="a LAS")
