import io

import pytest

from server.http.ranges import CHUNK_BYTES, matches, parse_range, read_bytes, require_match
from server.service_errors import PreconditionError, RangeError


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-5", (2, 5)),
        ("bytes=2-", (2, 9)),
        ("bytes=2-99", (2, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-99", (0, 9)),
        ("bytes = 1-2", (1, 2)),
    ],
)
def test_one_range_of_ten_bytes_is_understood(header, part):
    assert parse_range(header, 10) == part


@pytest.mark.parametrize("header", ["bytes=1-2,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=5-2", "nonsense", ""])
def test_what_is_no_single_range_is_ignored_as_the_standard_allows(header):
    assert parse_range(header, 10) is None


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(header):
    with pytest.raises(RangeError, match="lies outside the file, whose bytes are 0-9"):
        parse_range(header, 10)


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"b", "a"', "*"])
def test_an_etag_is_found_among_those_that_a_client_has(header):
    assert matches(header, '"a"')
    assert matches(header, '"c"') == (header == "*")


def test_bytes_are_read_from_first_to_last(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    assert b"".join(read_bytes(path.open("rb"), 3, 999_999, name="file")) == path.read_bytes()[3:1_000_000]


def test_the_stream_is_closed_when_all_is_read():
    stream = io.BytesIO(b"0123456789")
    assert b"".join(read_bytes(stream, 0, 9, name="file")) == b"0123456789"
    assert stream.closed


def test_a_download_that_breaks_off_is_logged_and_closes_the_stream(caplog):
    stream = io.BytesIO(bytes(2 * CHUNK_BYTES))
    pieces = read_bytes(stream, 0, 2 * CHUNK_BYTES - 1, name="final.tar of job tiny-1")
    next(pieces)
    pieces.close()
    assert stream.closed
    assert caplog.messages == [f"download of final.tar of job tiny-1 broke off {CHUNK_BYTES} bytes before the end"]


def test_a_file_shorter_than_it_was_said_to_be_is_logged(caplog):
    assert b"".join(read_bytes(io.BytesIO(b"0123"), 0, 9, name="final.tar")) == b"0123"
    assert caplog.messages == ["download of final.tar broke off 6 bytes before the end"]


@pytest.mark.parametrize(
    ("header", "part"),
    [("bytes=2-" + 5000 * "9", (2, 9)), ("bytes=-" + 5000 * "9", (0, 9)), ("bytes=" + 5000 * "0" + "2-3", (2, 3))],
)
def test_numbers_of_very_many_digits_are_numbers(header, part):
    assert parse_range(header, 10) == part


def test_a_range_that_begins_behind_every_file_is_refused_in_few_words():
    with pytest.raises(RangeError, match="lies outside the file") as refusal:
        parse_range("bytes=" + 5000 * "9" + "-", 10)
    assert len(str(refusal.value)) < 200


def test_a_digit_of_another_script_is_none():
    assert parse_range("bytes=\u0660-\u0669", 10) is None


@pytest.mark.parametrize("header", [None, '"a"', '"b", "a"', "*"])
def test_the_file_that_is_wanted_matches(header):
    require_match(header, '"a"')


@pytest.mark.parametrize("header", ['"b"', 'W/"a"', ""])
def test_another_file_than_the_one_that_is_wanted_is_refused(header):
    with pytest.raises(PreconditionError, match='the file is now "a", none of those that If-Match names'):
        require_match(header, '"a"')
