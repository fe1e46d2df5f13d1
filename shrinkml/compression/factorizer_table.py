"""The table of factorizers, which names them without loading torch: whoever takes one loads it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shrinkml.compression.factorizers import Decompose


@dataclass(frozen=True, slots=True)
class Factorizer:
    """One way to decompose matrices.

    Attributes:
        load: imports the function that does it, and torch.
        calibrated: True where it looks at statistics of the layer's inputs.
    """

    load: Callable[[], "Decompose"]
    calibrated: bool

    @property
    def decompose(self) -> "Decompose":
        """The function that decomposes a matrix."""
        return self.load()


def _factorizers() -> Any:
    from shrinkml.compression import factorizers

    return factorizers


FACTORIZERS: dict[str, Factorizer] = {
    "svd": Factorizer(lambda: _factorizers().svd, calibrated=False),
    "whitened": Factorizer(lambda: _factorizers().whitened_svd, calibrated=True),
    "pca": Factorizer(lambda: _factorizers().pca, calibrated=True),
}
