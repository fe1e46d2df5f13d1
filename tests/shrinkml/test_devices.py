import pytest
import torch

from shrinkml.devices import BFLOAT16, find_device, multiplies_bfloat16
from shrinkml.errors import ConfigError


@pytest.mark.parametrize(
    ("has_gpu", "name", "found"),
    [
        (False, "auto", "cpu"),
        (False, "cpu", "cpu"),
        (True, "auto", "cuda"),
        (True, "cpu", "cpu"),
        (True, "cuda", "cuda"),
    ],
)
def test_auto_is_the_gpu_where_torch_sees_one(monkeypatch, has_gpu, name, found):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert find_device(name) == torch.device(found)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="device is 'cuda', but torch sees no GPU here; allowed: cpu, and auto"):
        find_device("cuda")


@pytest.mark.parametrize("name", BFLOAT16)
def test_products_in_bfloat16_want_instructions_for_them(monkeypatch, name):
    cpu = torch.device("cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True})
    assert multiplies_bfloat16(cpu)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: False})
    assert not multiplies_bfloat16(cpu)
