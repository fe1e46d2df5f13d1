"""A draft changes how fast a transcript is written, not the transcript."""

import pytest

from shrinkml.measure.evaluation import transcripts
from shrinkml.speech.corpora import commands
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage import checkpoint
from shrinkml.training.dataset import load_dataset

SURE, REST = [7, 8], [1, 2, 3, 4]


@pytest.fixture(scope="module")
def whisper():
    return checkpoint.load("reference/whisper")


@pytest.fixture(scope="module")
def speech(whisper, tmp_path_factory):
    made = commands.prepare(tmp_path_factory.mktemp("commands"), train=1, dev=8, test=1)
    return load_dataset(whisper, read_manifest(made["dev"]))


@pytest.fixture(scope="module")
def greedy(whisper, speech):
    """Its transcripts."""
    return transcripts(whisper, speech)


@pytest.mark.parametrize("drafted", ["rightly", "with words too many and too few", "not at all", "at length"])
def test_a_transcript_is_what_greedy_decoding_writes_whatever_the_draft(bench, whisper, speech, greedy, drafted):
    drafts = {
        "rightly": greedy,
        "with words too many and too few": [f"the {' '.join(text.split()[1:])} please" for text in greedy],
        "not at all": ["" for _ in greedy],
        "at length": ["la " * 400 for _ in greedy],
    }[drafted]
    assert bench.drafted_transcripts(whisper, speech, drafts) == greedy


def test_the_states_of_another_encoder_may_be_given(bench, whisper, speech, greedy):
    heard = []

    def encode(features):
        heard.extend(features)
        return bench.states_of(whisper, features)

    assert bench.drafted_transcripts(whisper, speech, speech.texts, encode=encode) == greedy
    assert len(heard) == len(speech)


def letters(tokens):
    return "".join({5: ",", 9: "!"}.get(token, "a") for token in tokens)


def test_a_draft_goes_on_behind_a_token_that_was_put_in_left_out_or_replaced(bench):
    assert bench.redrafted([7, 5], REST, letters) == REST, "a mark before a word"
    assert bench.redrafted([7, 3], REST, letters) == [4], "1 and 2 left out"
    assert bench.redrafted(SURE, REST, letters) == [2, 3, 4], "8 for 1"


def test_where_a_draft_has_come_to_an_end_it_repeats_what_was_written(bench):
    assert bench.redrafted([1, 2, 3, 1, 2], [], letters) == [3, 1, 2]
    assert bench.redrafted([1, 2, 3], [], letters) == []
