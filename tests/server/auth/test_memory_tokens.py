"""What only the store in memory is like; its contract is tested in test_token_store.py."""

from server.auth.memory_tokens import MemoryTokens
from server.auth.tokens import new_token


def test_two_stores_share_nothing():
    first, second = MemoryTokens(), MemoryTokens()
    first.add(new_token("anna")[0])
    assert not first.is_empty()
    assert second.is_empty()
