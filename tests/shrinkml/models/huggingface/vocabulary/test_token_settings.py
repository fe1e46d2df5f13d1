from types import SimpleNamespace

from shrinkml.models.huggingface.vocabulary.token_settings import ids_in, renumber_

NEW_IDS = {3: 0, 5: 1, 7: 2, 9: 3}


def settings():
    return SimpleNamespace(
        eos_token_id=[7, 9],
        bos_token_id=5,
        pad_token_id=None,
        no_timestamps_token_id=9,
        suppress_tokens=[4, 5, 6],
        begin_suppress_tokens=[3, 8],
        forced_decoder_ids=[[1, 9], [2, None]],
        lang_to_id={"<|en|>": 5},
        bad_words_ids=[[3, 5], [7]],
        max_new_tokens=5,
        alignment_heads=[[3, 5]],
    )


def test_every_token_but_the_suppressed_is_wanted():
    assert ids_in(settings()) == {3, 5, 7, 9}


def test_every_token_gets_its_new_id():
    found = settings()
    renumber_(found, NEW_IDS)
    assert found.eos_token_id == [2, 3]
    assert found.bos_token_id == 1
    assert found.pad_token_id is None
    assert found.no_timestamps_token_id == 3
    assert found.forced_decoder_ids == [[1, 3], [2, None]]
    assert found.lang_to_id == {"<|en|>": 1}
    assert found.bad_words_ids == [[0, 1], [2]]


def test_suppressed_tokens_that_are_gone_leave_their_lists():
    found = settings()
    renumber_(found, NEW_IDS)
    assert (found.suppress_tokens, found.begin_suppress_tokens) == ([1], [0])


def test_numbers_that_are_no_tokens_stay():
    found = settings()
    renumber_(found, NEW_IDS)
    assert (found.max_new_tokens, found.alignment_heads) == (5, [[3, 5]])


def test_ids_of_tokens_that_the_model_does_not_have_stay():
    found = SimpleNamespace(bos_token_id=50257)
    renumber_(found, NEW_IDS)
    assert found.bos_token_id == 50257
