"""Settings of generation of transformers that change more than its prompt: told as data, or refused."""

from shrinkml.errors import ExportError
from shrinkml.models.huggingface.seq2seq_model import HuggingFaceSeq2Seq

# Fields of generation_config.json that change scores and that no recipe can tell, and what changes nothing beside null.
UNTOLD = {
    "bad_words_ids": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": 1.0,
    "min_length": 0,
    "min_new_tokens": 0,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
    "return_timestamps": False,
    "sequence_bias": None,
}


def suppressed(model: HuggingFaceSeq2Seq, *, first: bool) -> tuple[int, ...]:
    """Tokens that are never written, or those that are not written `first`.

    Raises:
        ExportError: generation changes scores in other ways.
    """
    config = model.network.generation_config
    untold = [name for name, nothing in UNTOLD.items() if getattr(config, name, None) not in (None, nothing)]
    if untold:
        raise ExportError(
            f"generation_config.json sets {', '.join(untold)}, which cannot be exported to ONNX; "
            "allowed: suppress_tokens, begin_suppress_tokens, language and task"
        )
    return tuple(getattr(config, "begin_suppress_tokens" if first else "suppress_tokens", None) or ())
