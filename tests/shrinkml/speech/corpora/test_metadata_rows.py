import pytest

from shrinkml.errors import ManifestError
from shrinkml.speech.corpora.metadata_rows import numbered_lines, read_metadata


@pytest.fixture
def rows(tmp_path):
    """Text of a file of metadata -> its rows and the problems."""

    def read(text, name="metadata.csv"):
        (tmp_path / name).write_bytes(text.encode())
        problems = []
        return [(where.rpartition(":")[2], row) for where, row in read_metadata(tmp_path, problems)], problems

    return read


def test_rows_have_their_line_whatever_ends_it(rows):
    found, problems = rows('file_name,text\r\na.wav,"on, ""please"""\r\n\r\nb.wav,\r\n')
    assert found == [("2", {"file_name": "a.wav", "text": 'on, "please"'}), ("4", {"file_name": "b.wav", "text": None})]
    assert problems == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('b.wav,"off', "metadata.csv:3: broken CSV (unexpected end of data); each row stands on one line, its quotes"),
        ('b.wav,"off"x', "metadata.csv:3: broken CSV ("),
        ("b.wav,off,now", "metadata.csv:3: columns found: 3; the header's: 2: ['b.wav', 'off', 'now']"),
        ("b.wav", "metadata.csv:3: columns found: 1; the header's: 2: ['b.wav']"),
    ],
)
def test_a_broken_line_is_told_and_takes_no_other_with_it(rows, line, problem):
    found, problems = rows(f'file_name,text\na.wav,on\n{line}\nc.wav,"up"\n')
    assert [number for number, _ in found] == ["2", "4"]
    (told,) = problems
    assert problem in told


@pytest.mark.parametrize(
    ("header", "problem"),
    [("text,text", "a column stands twice in the header ['text', 'text']"), ('"text', "broken CSV")],
)
def test_without_a_header_there_are_no_rows(rows, header, problem):
    found, (told,) = rows(f"{header}\na,b\n")
    assert found == []
    assert f"metadata.csv:1: {problem}" in told


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "9" * 5000])
def test_json_that_cannot_be_read_is_told(rows, line):
    found, (problem,) = rows(f'{line}\n{{"a": 1}}\n', "metadata.jsonl")
    assert found == [("2", {"a": 1})]
    assert "metadata.jsonl:1: broken JSON" in problem


def test_a_row_of_json_is_an_object(rows):
    assert "metadata.jsonl:1: a row must be a JSON object, not '[1]'" in rows("[1]\n", "metadata.jsonl")[1][0]


def test_a_folder_without_metadata_is_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"no metadata\.jsonl or metadata\.csv in .*; an audiofolder has one"):
        read_metadata(tmp_path, [])


def test_another_encoding_is_refused(tmp_path):
    (tmp_path / "text").write_bytes("grüße".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"text is not UTF-8"):
        list(numbered_lines(tmp_path / "text"))
