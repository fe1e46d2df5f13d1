import pytest
from transformers.utils import logging

from shrinkml.models.huggingface.quiet import quietly


@pytest.fixture
def loud():
    """transformers, told to say much; afterwards as before."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    yield
    logging.set_verbosity(verbosity)
    if not shown:
        logging.disable_progress_bar()


def test_inside_nothing_but_errors_is_said(loud):
    with quietly():
        assert not logging.is_progress_bar_enabled()
        assert logging.get_verbosity() == logging.ERROR


def test_afterwards_it_is_as_before_even_after_an_error(loud):
    with pytest.raises(KeyError, match="inside"), quietly():
        raise KeyError("inside")
    assert logging.is_progress_bar_enabled()
    assert logging.get_verbosity() == logging.INFO


def test_bars_that_were_off_stay_off(loud):
    logging.disable_progress_bar()
    with quietly():
        pass
    assert not logging.is_progress_bar_enabled()
