"""The device that torch computes on."""

import torch

from shrinkml.errors import ConfigError
from shrinkml.job import DeviceName


def find_device(name: DeviceName) -> torch.device:
    """The device `name`; "auto" is the GPU where torch sees one.

    Raises:
        ConfigError: a GPU that is not there.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError(
            "device is 'cuda', but torch sees no GPU here; allowed: cpu, and auto, which takes what is there"
        )
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")
