"""The device that torch computes on."""

import torch

from shrinkml.errors import ConfigError
from shrinkml.job import DeviceName

BFLOAT16 = ("amx_bf16", "avx512_bf16", "bf16")  # torch's names for the instructions of Intel, AMD and Arm


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


def multiplies_bfloat16(device: torch.device) -> bool:
    """True where `device` has instructions for products in bfloat16; others take longer for them than in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(torch.cpu.get_capabilities().get(name) for name in BFLOAT16)
