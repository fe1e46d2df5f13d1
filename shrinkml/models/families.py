"""The table of families: a new one is a folder of its own, and a row here."""

from collections.abc import Mapping
from typing import Any

from shrinkml.models.family import Family
from shrinkml.models.huggingface.huggingface_families import HUGGINGFACE_CTC, HUGGINGFACE_SEQ2SEQ
from shrinkml.models.las.las_family import LAS
from shrinkml.models.transducer.transducer_family import TRANSDUCER
from shrinkml.models.transformer.transformer_family import TRANSFORMER

FAMILIES: dict[str, Family] = {
    family.name: family for family in (LAS, TRANSDUCER, TRANSFORMER, HUGGINGFACE_CTC, HUGGINGFACE_SEQ2SEQ)
}


def recognised(config: Mapping[str, Any]) -> Family | None:
    """The family of the models that `config`, the content of a config.json, describes; None where none is known."""
    return next((family for family in FAMILIES.values() if family.recognises(config)), None)


def stored_names() -> list[str]:
    """The names of families in config.json, each once."""
    return list(dict.fromkeys(family.stored_as for family in FAMILIES.values()))


def fresh_kinds() -> dict[str, Family]:
    """Kind of a model that can be drawn afresh -> its family."""
    return {kind: family for family in FAMILIES.values() for kind in family.fresh_kinds}


def libraries() -> list[str]:
    """The packages that open dense copies, each once."""
    return list(dict.fromkeys(family.library for family in FAMILIES.values() if family.library is not None))
