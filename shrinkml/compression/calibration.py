"""What flows into each factorizable matrix when a model works: the statistics that whitening and MAC counts need."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerStats:
    """The inputs of one matrix over a calibration run.

    Attributes:
        gram: [in, in], the sum over frames of x x^T.
        n_frames: inputs seen.
    """

    gram: Tensor
    n_frames: int
