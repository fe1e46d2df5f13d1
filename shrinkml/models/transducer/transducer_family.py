"""The row of transducers in the table of families; loads no torch."""

from shrinkml.models.family import Operations
from shrinkml.models.trainable.trainable_family import trainable_family


def _operations() -> Operations:
    from shrinkml.models.transducer.transducer_operations import OPERATIONS

    return OPERATIONS


TRANSDUCER = trainable_family("transducer", _operations, lstms_of="a transducer")
