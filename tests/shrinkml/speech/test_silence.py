import pytest

from shrinkml.speech.silence import nobody_speaks


@pytest.mark.parametrize(
    ("no_speech", "mean", "n_tokens", "expected"),
    [
        (0.61, -1.01, 9, True),
        (0.61, -0.99, 9, False),
        (0.59, -5.0, 9, False),
        (0.61, -0.99, 1, False),
        (0.91, 0.0, 4, True),
        (0.91, 0.0, 5, False),
        (0.0, 0.0, 0, False),
    ],
)
def test_nobody_speaks_where_the_model_says_so_and_is_unsure_or_writes_next_to_nothing(
    no_speech, mean, n_tokens, expected
):
    assert nobody_speaks(no_speech, mean, n_tokens) is expected
