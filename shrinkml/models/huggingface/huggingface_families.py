"""The rows of models of `transformers` in the table of families; loads neither torch nor transformers.

Their checkpoints all state the family "huggingface": which of both a model is of is read from its model type.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shrinkml.models.family import Family, Operations
from shrinkml.models.huggingface.vocabulary.kept_tokens import read_kept

STORED_AS = "huggingface"
LIBRARY = "transformers"
EXPORTED = " (Whisper, Speech2Text, Moonshine and CTC models)"
MULTILINGUAL = "whisper"  # model type whose generation can be told a language

# Model types that `AutoModelForCTC` opens; `shrinkml.models.huggingface.opening` asks transformers itself.
CTC_TYPES = frozenset(
    {
        "data2vec-audio",
        "granite_speech5_ctc",
        "hubert",
        "lasr_ctc",
        "parakeet_ctc",
        "sew",
        "sew-d",
        "unispeech",
        "unispeech-sat",
        "wav2vec2",
        "wav2vec2-bert",
        "wav2vec2-conformer",
        "wavlm",
    }
)


def is_huggingface(config: Mapping[str, Any]) -> bool:
    """True for the config.json of transformers itself, and of checkpoints of ours made from its models."""
    return config.get("family") == STORED_AS if "format" in config else "model_type" in config


def model_type(config: Mapping[str, Any]) -> Any:
    """The model type that transformers knows the model by; None where none is stated."""
    network = config.get("model") if "format" in config else config
    return network.get("model_type") if isinstance(network, Mapping) else None


def _language_settings(config: Mapping[str, Any], language: str) -> dict[str, Any] | None:
    """Settings for the generation of a Whisper that transformers wrote; checkpoints of ours are told already."""
    return {"language": language, "task": "transcribe"} if config.get("model_type") == MULTILINGUAL else None


def _trimmed_to(folder: Path) -> int | None:
    kept = read_kept(folder)
    return None if kept is None else len(kept)


def _ctc_operations() -> Operations:
    from shrinkml.models.huggingface.huggingface_operations import CTC_OPERATIONS

    return CTC_OPERATIONS


def _seq2seq_operations() -> Operations:
    from shrinkml.models.huggingface.huggingface_operations import SEQ2SEQ_OPERATIONS

    return SEQ2SEQ_OPERATIONS


HUGGINGFACE_CTC = Family(
    name="huggingface-ctc",
    stored_as=STORED_AS,
    recognises=lambda config: is_huggingface(config) and model_type(config) in CTC_TYPES,
    keys=("model",),
    operations=_ctc_operations,
    fresh_kinds=("parakeet_ctc",),
    library=LIBRARY,
    exported=EXPORTED,
)
HUGGINGFACE_SEQ2SEQ = Family(
    name="huggingface-seq2seq",
    stored_as=STORED_AS,
    recognises=lambda config: is_huggingface(config) and model_type(config) not in CTC_TYPES,
    keys=("model",),
    operations=_seq2seq_operations,
    fresh_kinds=("whisper",),
    library=LIBRARY,
    exported=EXPORTED,
    multilingual="a Whisper",
    language_settings=_language_settings,
    trimmed_to=_trimmed_to,
)
