"""The row of a recogniser of our own in the table of families; loads no torch."""

from collections.abc import Callable

from shrinkml.models.family import Family, Operations

VOCABULARY = "vocabulary.txt"


def trainable_family(name: str, operations: Callable[[], Operations], *, lstms_of: str | None = None) -> Family:
    """A family of recognisers with a vocabulary of words or characters.

    Args:
        name: of the family, in checkpoints and training recipes.
        operations: imports and returns the functions on its models.
        lstms_of: one of its models, in a message ("a LAS"), if they are made of LSTMs; None for any others.
    """
    return Family(
        name=name,
        stored_as=name,
        recognises=lambda config: config.get("family") == name,
        keys=("model", "unit"),
        operations=operations,
        files=("config.json", VOCABULARY),
        fresh_kinds=(name,),
        units=("word", "char"),
        float32_only=None if lstms_of is None else f"{lstms_of}: false, its LSTM kernel computes in float32",
    )
