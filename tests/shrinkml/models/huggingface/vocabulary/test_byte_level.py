from types import SimpleNamespace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

import shrinkml
from shrinkml.errors import ConfigError
from shrinkml.models.huggingface.vocabulary.byte_level import (
    added_tokens,
    byte_pairs,
    check_byte_level,
    needed_tokens,
    with_tokens,
)

BYTES = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def fast(model, pre_tokenizer=None):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizer or pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="module")
def tokenizer():
    return shrinkml.load("reference/whisper").text.tokenizer


OTHERS = {
    "of type WordLevel": lambda: fast(models.WordLevel({"<unk>": 0}, unk_token="<unk>")),
    "of type Unigram": lambda: fast(models.Unigram([("a", 0.0)])),
    "of type WordPiece": lambda: fast(models.WordPiece({"a": 0})),
    "of type BPE with byte_fallback": lambda: fast(models.BPE(BYTES, [], byte_fallback=True)),
    "of type BPE with end_of_word_suffix": lambda: fast(models.BPE(BYTES, [], end_of_word_suffix="</w>")),
    "of type BPE over letters": lambda: fast(models.BPE(BYTES, []), pre_tokenizers.Whitespace()),
    "of type BPE over letters, not": lambda: fast(models.BPE({"a": 0}, [])),
    "a SimpleNamespace, which has no tokenizer.json": SimpleNamespace,
}


@pytest.mark.parametrize("kind", OTHERS)
def test_another_kind_of_tokenizer_is_refused_by_its_name(kind):
    with pytest.raises(ConfigError, match=f"the tokenizer of this model is {kind}.*; trimmed is a byte-level BPE"):
        check_byte_level(OTHERS[kind]())


def test_bytes_in_a_sequence_of_splits_are_bytes():
    splits = pre_tokenizers.Sequence([pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    check_byte_level(fast(models.BPE(BYTES, []), splits))


def test_words_need_their_tokens_behind_a_space_in_small_letters_too(tokenizer):
    needed = needed_tokens(tokenizer, ["Kitchen lights"])
    assert {"Ġkitchen", "Ġlights", "Ġ", "k"} <= needed
    assert {*tokenizer.tokenize(" Kitchen")} <= needed


def test_a_smaller_tokenizer_writes_any_text_and_names_its_marks_anew(tokenizer):
    pairs = byte_pairs(tokenizer)
    names = pairs.with_parts(pairs.atoms | needed_tokens(tokenizer, ["turn on the kitchen lights"]))
    kept = sorted({pairs.vocabulary[name] for name in names} | added_tokens(tokenizer))
    small = with_tokens(tokenizer, {old: new for new, old in enumerate(kept)})
    assert len(small) == len(kept) < len(tokenizer)
    assert small.convert_ids_to_tokens(range(len(small))) == tokenizer.convert_ids_to_tokens(kept)
    for text in (" turn on the kitchen lights", "Überall 12 Ölöfen — 日本", "two  spaces\tand a tab", " bedroom"):
        ids = small(text, add_special_tokens=False).input_ids
        assert small.decode(ids) == text
        marked = small(text).input_ids
        assert small.decode(marked) == tokenizer.decode(tokenizer(text).input_ids)
    assert [kept[i] for i in small(" the kitchen", add_special_tokens=False).input_ids] == tokenizer(
        " the kitchen", add_special_tokens=False
    ).input_ids
    assert small.all_special_tokens == tokenizer.all_special_tokens


@pytest.mark.parametrize("kind", ["RobertaProcessing", "TemplateProcessing"])
def test_marks_of_any_post_processor_are_renumbered(kind):
    tokens = {**BYTES, "ab": len(BYTES), "<s>": len(BYTES) + 1}
    tokenizer = fast(models.BPE(tokens, [("a", "b")]))
    mark = ("<s>", tokens["<s>"])
    tokenizer.backend_tokenizer.post_processor = {
        "RobertaProcessing": lambda: processors.RobertaProcessing(mark, mark),
        "TemplateProcessing": lambda: processors.TemplateProcessing("<s> $0 <s>", special_tokens=[mark]),
    }[kind]()
    kept = [i for token, i in tokens.items() if token != "ab"]
    small = with_tokens(tokenizer, {old: new for new, old in enumerate(kept)})
    a, b, end = (small.convert_tokens_to_ids(token) for token in ("a", "b", "<s>"))
    assert small("ab").input_ids == [end, a, b, end]
