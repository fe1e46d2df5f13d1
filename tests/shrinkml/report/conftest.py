import pytest

from tests.report_example import example


@pytest.fixture
def report():
    """The JSON of a report, for a test to change before it is read."""
    return example()
