"""ShrinkML: makes trained speech recognisers small.

`shrinkml.load(path)` opens a checkpoint. Importing the package loads no torch: `load` does, when called.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from shrinkml.checkpoint import load

        return load
    raise AttributeError(f"module 'shrinkml' has no attribute {name!r}")
