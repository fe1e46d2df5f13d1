import pytest

from shrinkml.models.huggingface.vocabulary.byte_pairs import BytePairs

MERGES = [("t", "h"), ("th", "e"), ("a", "t"), ("h", "at"), ("c", "at")]
TOKENS = ["<end>", *"thecas", *(left + right for left, right in MERGES)]


@pytest.fixture
def pairs():
    return BytePairs.of({"vocab": {token: i for i, token in enumerate(TOKENS)}, "merges": [list(m) for m in MERGES]})


def test_the_steps_of_a_word_are_its_letters_its_tokens_and_all_between(pairs):
    assert pairs.steps("the") == {"t", "h", "e", "th", "the"}
    assert pairs.steps("cat") == {"c", "a", "t", "at", "cat"}


def test_the_merge_of_lowest_rank_comes_first(pairs):
    assert "hat" not in pairs.steps("that")  # th at: "t h" is joined before "a t"
    assert pairs.steps("that") >= {"th", "at"}


def test_repeated_letters_are_joined_from_the_left():
    pairs = BytePairs({"a": 0, "aa": 1, "aaa": 2}, [("a", "a"), ("aa", "a")])
    assert pairs.steps("aaa") == {"a", "aa", "aaa"}


def test_letters_that_are_no_tokens_are_left_out(pairs):
    assert pairs.steps("ax") == {"a"}


def test_atoms_are_what_no_merge_makes(pairs):
    assert pairs.atoms == {"<end>", *"thecas"}


def test_parts_are_followed_to_the_letters(pairs):
    assert pairs.with_parts(["hat"]) == {"hat", "h", "at", "a", "t"}


def test_the_first_of_an_order_fill_up_what_is_left(pairs):
    assert pairs.filled([], 9, ["the", "cat"]) == pairs.atoms | {"th", "the"}
    assert pairs.filled(["at"], 9, ["the", "th"]) == pairs.atoms | {"at", "th"}


def test_a_token_whose_parts_do_not_fit_in_is_passed_over(pairs):
    assert pairs.filled([], 10, ["th", "cat", "the", "at"]) == pairs.atoms | {"th", "cat", "at"}
    assert pairs.filled([], 9, ["th", "cat", "the", "at"]) == pairs.atoms | {"th", "the"}


def test_merges_stay_where_all_three_tokens_do_in_their_order(pairs):
    assert pairs.merges_among(["t", "h", "th", "a", "at", "the"]) == [("t", "h"), ("a", "t")]
