import pytest

from server.http.ranges import matches, parse_range, read_bytes
from server.service_errors import RangeError


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
    assert b"".join(read_bytes(path, 3, 999_999)) == path.read_bytes()[3:1_000_000]
