"""The row of LAS in the table of families; loads no torch."""

from shrinkml.models.family import Family, Operations

VOCABULARY = "vocabulary.txt"


def _operations() -> Operations:
    from shrinkml.models.las.las_operations import OPERATIONS

    return OPERATIONS


LAS = Family(
    name="las",
    stored_as="las",
    recognises=lambda config: config.get("family") == "las",
    keys=("model", "unit"),
    operations=_operations,
    files=("config.json", VOCABULARY),
    fresh_kinds=("las",),
    units=("word", "char"),
    float32_only="a LAS: false, its LSTM kernel computes in float32",
)
