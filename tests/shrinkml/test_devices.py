import pytest
import torch

from shrinkml.devices import find_device
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
