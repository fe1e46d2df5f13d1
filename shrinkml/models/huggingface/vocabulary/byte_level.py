"""Tokenizers of transformers over byte-level byte pairs: the tokens that texts need, and copies that know fewer."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shrinkml.errors import ConfigError
from shrinkml.models.huggingface.quiet import quietly
from shrinkml.models.huggingface.vocabulary.byte_pairs import BytePairs

FILE = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
KIND = "a byte-level BPE vocabulary, as Whisper's"
OTHER_BPE = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")


def check_byte_level(tokenizer: Any) -> None:
    """That `tokenizer` is one that can be trimmed.

    Raises:
        ConfigError: it is of another kind.
    """
    found = _other_kind(tokenizer)
    if found is not None:
        raise ConfigError(
            f"the tokenizer of this model is {found}; trimmed is {KIND}: leave its vocabulary whole (vocabulary: all)"
        )


def byte_pairs(tokenizer: Any) -> BytePairs:
    """The tokens and merges of `tokenizer`."""
    return BytePairs.of(_content(tokenizer)["model"])


def needed_tokens(tokenizer: Any, texts: Iterable[str]) -> set[str]:
    """The tokens that the words of `texts` are written in behind a space, and those on the way to them.

    In the letters of the texts, and in small ones.
    """
    words = _words(texts)
    return _steps(tokenizer, {f" {form}" for word in words for form in (word, word.lower())})


def added_tokens(tokenizer: Any) -> set[int]:
    """Ids of the tokens beside the byte pairs: marks, languages, times."""
    return {entry["id"] for entry in _content(tokenizer)["added_tokens"]}


def with_tokens(tokenizer: Any, new_ids: Mapping[int, int]) -> Any:
    """A tokenizer like `tokenizer` with the tokens of `new_ids` alone (old id -> new id).

    Any text is still written, in more tokens where one is gone.

    Args:
        tokenizer: that `check_byte_level` lets pass.
        new_ids: of its bytes and added tokens, and of what is kept beside them.
    """
    with TemporaryDirectory() as name, quietly():
        folder = Path(name)
        tokenizer.save_pretrained(folder)
        content = _content(tokenizer)
        (folder / FILE).write_text(json.dumps(_renumbered(content, new_ids), ensure_ascii=False), encoding="utf-8")
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        settings.pop("added_tokens_decoder", None)  # by old ids; the other file has them all
        (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
        return type(tokenizer).from_pretrained(folder, local_files_only=True)


def _content(tokenizer: Any) -> dict[str, Any]:
    """The content of tokenizer.json."""
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return content


def _other_kind(tokenizer: Any) -> str | None:
    """The kind of `tokenizer`, in words, where it is none that can be trimmed."""
    from tokenizers.pre_tokenizers import ByteLevel

    if not hasattr(tokenizer, "backend_tokenizer"):
        return f"a {type(tokenizer).__name__}, which has no {FILE}"
    content = _content(tokenizer)
    model = content["model"]
    if model["type"] != "BPE":
        return f"of type {model['type']}"
    options = [option for option in OTHER_BPE if model.get(option)]
    if options:
        return f"of type BPE with {' and '.join(options)}"
    splits = content["pre_tokenizer"] or {}
    parts = splits.get("pretokenizers", [splits])
    if (
        not any(part.get("type") == "ByteLevel" for part in parts)
        or not {*ByteLevel.alphabet()} <= model["vocab"].keys()
    ):
        return "of type BPE over letters, not bytes"
    return None


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def _steps(tokenizer: Any, forms: Iterable[str]) -> set[str]:
    """Every token on the way from the letters of `forms` to their tokens."""
    pairs, backend = byte_pairs(tokenizer), tokenizer.backend_tokenizer
    pieces = {piece for form in forms for piece in _pieces(backend, form)}
    return {token for piece in pieces for token in pairs.steps(piece)}


def _pieces(backend: Any, text: str) -> list[str]:
    """The parts of `text` that are encoded each by itself, in the letters that stand for bytes."""
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    return [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def _renumbered(content: Mapping[str, Any], new_ids: Mapping[int, int]) -> dict[str, Any]:
    model = content["model"]
    kept = {token: new_ids[old] for token, old in model["vocab"].items() if old in new_ids}
    return {
        **content,
        "model": {**model, "vocab": kept, "merges": BytePairs.of(model).merges_among(kept)},
        "added_tokens": [{**entry, "id": new_ids[entry["id"]]} for entry in content["added_tokens"]],
        "post_processor": _renumbered_marks(content["post_processor"], new_ids),
    }


def _renumbered_marks(part: Any, new_ids: Mapping[int, int]) -> Any:
    """A post-processor that names tokens by their new ids."""
    if isinstance(part, Mapping):
        marks = part.get("special_tokens", {})
        renumbered = {name: {**mark, "ids": [new_ids[old] for old in mark["ids"]]} for name, mark in marks.items()}
        whole = {key: _renumbered_marks(value, new_ids) for key, value in part.items()}
        return {**whole, "special_tokens": renumbered} if marks else whole
    if isinstance(part, Sequence) and not isinstance(part, str):
        if len(part) == 2 and isinstance(part[0], str) and isinstance(part[1], int):  # Roberta's and Bert's
            return [part[0], new_ids[part[1]]]
        return [_renumbered_marks(value, new_ids) for value in part]
    return part
