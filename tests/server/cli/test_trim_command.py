"""The trim command; what it writes is tested in tests/shrinkml/models/huggingface/vocabulary."""

import json

import pytest

from shrinkml.storage.checkpoint import inspect, load


@pytest.fixture
def words(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("turn on the light\n")
    return path


def test_trim_writes_a_checkpoint_of_so_many_tokens(shrinkml, words, tmp_path):
    out = tmp_path / "small"
    code, printed, _ = shrinkml("trim", "reference/whisper", "--tokens", 500, "--texts", words, "--out", out, "--json")
    assert code == 0
    told = json.loads(printed)
    assert (told["tokens"], told["original_tokens"]) == (500, 702)
    assert load(out).n_outputs == 500
    assert inspect(out).provenance["compressed_from"] == inspect("reference/whisper").digest


def test_trim_says_how_much_smaller_it_is(shrinkml, words, tmp_path):
    code, _, err = shrinkml("trim", "reference/whisper", "--tokens", 500, "--texts", words, "--out", tmp_path / "small")
    assert code == 0
    assert "holds 500 of 702 tokens" in err


def test_trim_refuses_other_vocabularies_and_too_few_tokens(shrinkml, words, tmp_path):
    for model, tokens in (("reference/las", 50), ("reference/whisper", 50)):
        code, _, err = shrinkml("trim", model, "--tokens", tokens, "--texts", words, "--out", tmp_path / "small")
        assert (code, err.startswith("error: ")) == (2, True)
        assert not (tmp_path / "small").exists()
