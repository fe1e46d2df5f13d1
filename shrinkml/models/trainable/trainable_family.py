"""The row of a recogniser of our own in the table of families; loads no torch."""

from collections.abc import Callable

from shrinkml.models.family import Family, Operations

VOCABULARY = "vocabulary.txt"


def trainable_family(name: str, operations: Callable[[], Operations], *, in_words: str) -> Family:
    """A family of recognisers with LSTMs and a vocabulary of words or characters.

    Args:
        name: of the family, in checkpoints and training recipes.
        operations: imports and returns the functions on its models.
        in_words: one of its models, in a message: "a LAS".
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
        float32_only=f"{in_words}: false, its LSTM kernel computes in float32",
    )
