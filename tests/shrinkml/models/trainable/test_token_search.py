"""Searches over a decoder whose scores are a table: the oracle is the list of all transcripts."""

import itertools
import math

import pytest
import torch

from shrinkml.models.trainable.token_search import BEAM_LENGTH_POWER, beam_search, best_tokens, greedy

END, VOCABULARY = 0, 4
TABLES = torch.randn(6, VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5)).mul(2)
MOST = torch.tensor([3, 1, 4, 2, 4, 3])


def table_step(token, state):
    """Scores of what follows `token`, by the table of each row."""
    (tables,) = state
    return tables[torch.arange(len(token)), token], state


def searched(tables, most, beam):
    state = (tables if beam is None else tables.repeat_interleave(beam, 0),)
    if beam is None:
        return greedy(table_step, state, most, end=END)
    return beam_search(table_step, state, most, end=END, beam=beam)


def until_end(tokens):
    return [*itertools.takewhile(lambda token: token != END, tokens)]


def log_probability(table, tokens):
    pairs = itertools.pairwise([END, *tokens])
    return sum(table.log_softmax(-1)[before, after].item() for before, after in pairs)


def best_of_all(table, most):
    """The finished transcript with the best score among all of at most `most` tokens."""
    words = range(1, VOCABULARY)
    texts = [[*text, END] for n in range(most) for text in itertools.product(words, repeat=n)]
    return max(texts, key=lambda tokens: log_probability(table, tokens) / len(tokens) ** BEAM_LENGTH_POWER)


def test_greedy_takes_the_likeliest_token_each_time():
    for table, most, tokens in zip(TABLES, MOST.tolist(), searched(TABLES, MOST, None), strict=True):
        said, before = until_end(tokens), END
        for token in said:
            assert token == table[before].argmax()
            before = token
        assert len(said) == most or table[before].argmax() == END


@pytest.mark.parametrize("beam", [None, 1, 2, 5])
def test_an_utterance_is_written_as_if_it_were_alone(beam):
    together = searched(TABLES, MOST, beam)
    alone = [searched(TABLES[i : i + 1], MOST[i : i + 1], beam)[0] for i in range(len(TABLES))]
    assert [until_end(tokens) for tokens in together] == [until_end(tokens) for tokens in alone]


def test_a_beam_of_one_is_greedy():
    one, likeliest = searched(TABLES, MOST, 1), searched(TABLES, MOST, None)
    assert [until_end(tokens) for tokens in one] == [until_end(tokens) for tokens in likeliest]


def test_a_beam_as_wide_as_all_transcripts_finds_the_best_of_them():
    assert searched(TABLES, MOST, 200) == [best_of_all(*one) for one in zip(TABLES, MOST.tolist(), strict=True)]


def test_unlikely_ends_do_not_hide_a_likelier_transcript_that_ends_later():
    """1, 2, 3 and the end: what else may come has a thousandth of their probability, each early end as well."""
    table = torch.full((1, VOCABULARY, VOCABULARY), -math.log(1000))
    table[0, [END, 1, 2, 3], [1, 2, 3, END]] = 0.0
    for beam in (1, 2, 3, 8):
        assert searched(table, torch.tensor([9]), beam) == [[1, 2, 3, END]]


@pytest.mark.parametrize("beam", [None, 1, 3, 200])
def test_nothing_is_longer_than_it_may_be(beam):
    never_ends = torch.zeros(6, VOCABULARY, VOCABULARY)
    never_ends[:, :, END] = -math.inf
    assert [len(until_end(tokens)) for tokens in searched(never_ends, MOST, beam)] == MOST.tolist()


def test_the_state_follows_its_hypothesis():
    """Each state holds the tokens that were fed: those of the transcript that is found, its end not."""
    seen = []

    def remembering(token, state):
        fed = torch.cat((state[1], token[:, None]), 1) if len(state) > 1 else token[:, None]
        seen.append(fed)
        return table_step(token, state[:1])[0], (state[0], fed)

    (found,) = beam_search(remembering, (TABLES[:1].repeat_interleave(3, 0),), MOST[:1], end=END, beam=3)
    fed = [END, *until_end(found)]
    assert fed in seen[len(fed) - 1].tolist()


def test_best_tokens_are_greedy_or_those_of_a_beam():
    assert best_tokens(table_step, (TABLES,), MOST, end=END, beam=1) == searched(TABLES, MOST, None)
    wide = best_tokens(table_step, (TABLES.repeat_interleave(5, 0),), MOST, end=END, beam=5)
    assert wide == searched(TABLES, MOST, 5)
