"""Settings that the generation of a Whisper needs to be told its language, and that older folders lack.

Whispers that were published before transformers 4.31, and those that somebody trained from them, have a
generation_config.json without the ids of languages and tasks, or none. The names of those tokens are the same in every
Whisper, so the tokenizer knows their ids.
"""

from pathlib import Path
from typing import Any

from shrinkml.errors import CheckpointError
from shrinkml.models.huggingface.huggingface_families import MULTILINGUAL

TASKS = ("transcribe", "translate")
NO_TIMESTAMPS = "no_timestamps_token_id"
OF_THE_CONFIG = (  # that config.json has as well, and that a generation without a file of its own takes from there
    "decoder_start_token_id",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "suppress_tokens",
    "begin_suppress_tokens",
)


def complete_(network: Any, tokenizer: Any, path: Path) -> None:
    """Gives the generation of a Whisper that is told its language what it lacks, as far as that is certain.

    Args:
        network: of transformers.
        tokenizer: of it.
        path: its folder.

    Raises:
        CheckpointError: the tokenizer does not know the tokens.
    """
    generation = network.generation_config
    if network.config.model_type != MULTILINGUAL or not getattr(generation, "language", None):
        return
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    known = {
        "lang_to_id": {token: vocabulary[token] for token in _language_tokens() if token in vocabulary},
        "task_to_id": {task: vocabulary[f"<|{task}|>"] for task in TASKS if f"<|{task}|>" in vocabulary},
    }
    missing = [name for name in known if not getattr(generation, name, None)]
    if not missing:
        return
    unknown = [name for name in missing if not known[name]]
    if unknown:
        raise CheckpointError(
            f"{path} is told a language ({generation.language}), and its generation_config.json lacks "
            f"{' and '.join(unknown)}, which its tokenizer has no tokens for (such as <|en|>, <|transcribe|>): add "
            '{"lang_to_id": {"<|en|>": id, ...}, "task_to_id": {"transcribe": id}}, or leave `language` out if the '
            "model is of one language"
        )
    for name in missing:
        setattr(generation, name, known[name])
    if getattr(generation, NO_TIMESTAMPS, None) is None and "<|notimestamps|>" in vocabulary:
        setattr(generation, NO_TIMESTAMPS, vocabulary["<|notimestamps|>"])
    for name in OF_THE_CONFIG:
        if getattr(generation, name, None) is None:
            setattr(generation, name, getattr(network.config, name, None))


def _language_tokens() -> list[str]:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return [f"<|{code}|>" for code in LANGUAGES]
