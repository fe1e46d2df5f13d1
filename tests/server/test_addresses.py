"""Addresses in figures are told from names."""

import pytest

from server.addresses import is_address


@pytest.mark.parametrize("text", ["127.0.0.1", "8.8.8.8", "::1", "fe80::1"])
def test_figures_are_an_address(text):
    assert is_address(text)


@pytest.mark.parametrize("text", ["localhost", "example.org", "127.0.0.1.example.org", "300.1.1.1", "[::1]", ""])
def test_anything_else_is_none(text):
    assert not is_address(text)
