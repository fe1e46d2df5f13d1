"""The row of transducers in the table of families; loads no torch."""

from shrinkml.models.family import Family, Operations

VOCABULARY = "vocabulary.txt"


def _operations() -> Operations:
    from shrinkml.models.transducer.transducer_operations import OPERATIONS

    return OPERATIONS


TRANSDUCER = Family(
    name="transducer",
    stored_as="transducer",
    recognises=lambda config: config.get("family") == "transducer",
    keys=("model", "unit"),
    operations=_operations,
    files=("config.json", VOCABULARY),
    fresh_kinds=("transducer",),
    units=("word", "char"),
    float32_only="a transducer: false, its LSTM kernel computes in float32",
)
