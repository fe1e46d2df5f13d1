"""Search strategies, the staged pipeline and its executors; `agents.compress` takes a module of the user's own."""

from typing import Any

__all__ = ["compress"]


def __getattr__(name: str) -> Any:
    if name == "compress":
        from agents.own_module import compress  # takes seconds to import

        return compress
    raise AttributeError(f"module 'agents' has no attribute {name!r}")
