"""ShrinkML: makes trained speech recognisers small.

`shrinkml.load(path)` opens a checkpoint, `shrinkml.compress(module, ...)` makes a module of your own smaller. Importing
the package loads no torch: those two do, when they are looked up.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        from shrinkml.storage.checkpoint import load

        return load
    if name == "compress":
        return _compress()
    raise AttributeError(f"module 'shrinkml' has no attribute {name!r}")


def _compress() -> Any:
    from shrinkml.extras import needs

    # The one door to a layer on the right: users look for it here, and it searches, which is what agents are for.
    with needs("shrinkml.compress"):
        return importlib.import_module("agents.pipeline.compress_module").compress
