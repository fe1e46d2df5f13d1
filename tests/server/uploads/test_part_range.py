import pytest

from server.service_errors import TransitionError, UploadPartError
from server.uploads.part_range import PartRange


@pytest.mark.parametrize(
    ("header", "length", "first"),
    [
        (None, 100, 0),
        (None, 0, 40),
        ("bytes 40-99/100", 60, 40),
        ("bytes 40-40/100", 1, 40),
        ("bytes 10-19/100", 10, 10),
        (" bytes 0-99/100 ", 100, 0),
    ],
)
def test_a_part_begins_where_it_says_up_to_what_has_come(header, length, first):
    assert PartRange(header, length).first_of(100, 40) == first


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (None, 99),
        (None, 101),
        ("bytes 40-99/101", 60),
        ("bytes 40-100/100", 61),
        ("bytes 40-99/100", 59),
        ("bytes 99-40/100", 60),
        ("bytes */100", 0),
        ("bytes 40-99/*", 60),
        ("40-99/100", 60),
        ("bytes -1-99/100", 101),
        (f"bytes 0-{'9' * 19}/100", 100),
    ],
)
def test_a_part_that_does_not_fit_is_refused_with_the_form_that_does(header, length):
    with pytest.raises(UploadPartError, match=r"allowed(:| is) bytes FIRST-LAST/100"):
        PartRange(header, length).first_of(100, 40)


def test_a_part_behind_a_gap_is_told_where_to_go_on():
    with pytest.raises(TransitionError, match="41, and 40 have come; go on with Content-Range: bytes 40-99/100"):
        PartRange("bytes 41-99/100", 59).first_of(100, 40)
