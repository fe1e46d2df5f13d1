import re

import numpy as np
import pytest

from shrinkml.speech.corpora.grammar import HOME, draw_sentence
from shrinkml.speech.text import normalise


@pytest.fixture(scope="module")
def sentences():
    generator = np.random.default_rng(0)
    return [draw_sentence(generator) for _ in range(5000)]


def test_every_rule_that_is_named_is_there_and_every_rule_is_used():
    named = {name for alternatives in HOME.values() for text in alternatives for name in re.findall(r"{(\w+)}", text)}
    assert named | {"command"} == set(HOME)


def test_every_word_is_drawn(sentences):
    words = {word for rule in HOME.values() for text in rule for word in re.sub(r"{\w+}", " ", text).split()}
    assert {word for sentence in sentences for word in sentence.split()} == words
    assert 100 <= len(words) <= 130


def test_sentences_have_two_to_ten_words(sentences):
    lengths = [len(sentence.split()) for sentence in sentences]
    assert (min(lengths), max(lengths)) == (2, 10)


def test_sentences_are_normalised_already(sentences):
    assert all(normalise(sentence) == sentence for sentence in sentences)


def test_alternatives_are_equally_likely():
    generator = np.random.default_rng(0)
    grammar = {"command": ("{coin} {coin}",), "coin": ("heads", "tails")}
    drawn = [draw_sentence(generator, grammar) for _ in range(2000)]
    for pair in ("heads heads", "heads tails", "tails heads", "tails tails"):
        # Four standard deviations of a binomial share: 4 sqrt(0.25 * 0.75 / 2000).
        assert drawn.count(pair) / len(drawn) == pytest.approx(0.25, abs=0.039)
