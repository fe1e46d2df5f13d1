"""The tables of `make bench-pretrained`, of transcripts that lie there."""

import pytest

from shrinkml.training.dataset import Dataset

REFERENCES = ["a b c d", "e f g h"]
ORIGINAL, WORSE = ["a b c d", "e f g x"], ["a b c", "e f g x"]


class Written:
    """Subjects, all of whose transcripts are there."""

    def __init__(self, subject):
        self.original = subject(9)
        self.materials = self
        self.dev = self.test = Dataset([], REFERENCES, [1.0, 1.0], [None, None])

    def heard(self, subject, split):
        return ORIGINAL if subject == self.original else WORSE

    def heard_on_dev(self, subject):
        return self.heard(subject, "dev")

    def parameters(self, subject):
        return 4_000_000 if subject == self.original else 2_500_000

    def bytes(self, subject):
        return 2 * self.parameters(subject)

    def levers(self, task):
        return ("rank", "bits") if task.resource == "bytes" else ("rank",)


@pytest.fixture
def tables(bench):
    return bench.Tables(Written(bench.Subject), 16, 8)


def test_a_row_tells_size_errors_and_what_is_lost(bench, tables):
    cells = tables._cells("half the tokens", bench.Subject(5))
    assert cells[:5] == ("half the tokens", "1.60", "2.50", "5.0", "")
    assert cells[5].startswith("25.00 (")
    assert cells[6].startswith("+12.50 (")


def test_the_original_loses_nothing_against_itself(tables):
    *_, heard, lost = tables._cells("the original", tables._subjects.original)
    assert heard.startswith("12.50 (")
    assert lost == "+0.00 (+0.00 to +0.00)"


def test_rows_of_searches_tell_which_levers_were_pulled(bench, tables, monkeypatch):
    monkeypatch.setattr(tables, "_searched", lambda task, strategy, evaluations: bench.Subject(5))
    _, _, *rows = tables.search().split("\n\n")[0].splitlines()
    assert len(rows) == len(bench.SEARCHED) * (1 + len(bench.SIMPLE))
    assert all("rank+bits" in row for row in rows)


def test_bytes_are_counted_against_the_original_as_it_is_stored(tables):
    cells = tables._byte_cells("int4", 10_000_000, 150_000_000, WORSE)
    assert cells[1:3] == ("10.0", "15.00")
    assert cells[4].startswith("+12.50 (")
