import numpy as np
import pytest

from shrinkml.export.label_posteriors import label_posteriors

BLANK = 0


@pytest.fixture
def lattice():
    return np.random.default_rng(0).normal(0, 2, (3, 2, 4))


def log_softmax(logits):
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def test_every_row_is_a_distribution(lattice):
    rows = label_posteriors(lattice, [2], BLANK)
    np.testing.assert_allclose(np.exp(rows).sum(1), 1.0)


def test_a_transcript_is_as_likely_as_all_of_its_alignments_together(lattice):
    logs = log_softmax(lattice)
    ways = [
        logs[:said_at, 0, BLANK].sum() + logs[said_at, 0, 2] + logs[said_at:, 1, BLANK].sum() for said_at in range(3)
    ]
    rows = label_posteriors(lattice, [2], BLANK)
    assert rows[0, 2] + rows[1, BLANK] == pytest.approx(np.logaddexp.reduce(ways))


def test_nothing_is_said_where_every_frame_says_the_blank(lattice):
    rows = label_posteriors(lattice[:, :1], [], BLANK)
    assert rows[0, BLANK] == pytest.approx(log_softmax(lattice)[:, 0, BLANK].sum())
