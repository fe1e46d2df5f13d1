"""Addresses in figures, told from names."""

import ipaddress


def is_address(text: str) -> bool:
    """Return True for an address in figures."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
