"""A device that is not there: torch takes its tensors for those of another device, the CPU computes them.

Whatever mixes them with the CPU's fails, as it would on a GPU. Nothing can be learnt there: torch's autograd has no
queue for it. Run as a program, which sets the device up for its whole process: `python pretended.py CHECKPOINT...`
does there what a job does with each recogniser, and compares it with the CPU.
"""

import copy
import math
import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
# Positions of arguments that may be the CPU's all the same: indices, and lengths of sequences.
LENIENT = {
    aten.index.Tensor: {1},
    aten.index_put_.default: {1},
    aten._pack_padded_sequence.default: {1},
    aten._pad_packed_sequence.default: {1},
    aten._ctc_loss.Tensor: {2, 3},
    aten.copy_.default: {0, 1},
    aten._to_copy.default: {0},
}
PACKING = {aten._pack_padded_sequence.default, aten._pad_packed_sequence.default}  # their second result is the CPU's


class Away(Tensor):
    """A tensor of the pretended device."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "Away":
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset(), "dtype": here.dtype}
        away: Away = Tensor._make_wrapper_subclass(cls, here.shape, device=torch.device("pretended"), **layout)
        away.here = here
        return away

    def tolist(self) -> Any:
        return self.here.tolist()

    @classmethod
    def __torch_dispatch__(cls, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(operator, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """Makes the pretended device's tensors where torch is asked for them."""

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(operator, args, kwargs or {})


def run(operator: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What `operator` makes of its arguments, on the device that torch would choose."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    is_away = any(isinstance(x, Away) for x in tensors)
    if is_away:
        strict = [arg for position, arg in enumerate(args) if position not in LENIENT.get(operator, ())]
        left = [x for x in tree_leaves(strict) if isinstance(x, Tensor) and not isinstance(x, Away) and x.dim()]
        assert not left, f"{operator} mixes devices: a tensor of shape {list(left[0].shape)} is the CPU's"
    device = kwargs.get("device")
    if device is not None:
        is_away = torch.device(device).type == "pretended"
        kwargs = {**kwargs, "device": torch.device("cpu") if is_away else device}
    args_here, kwargs_here = tree_map(lambda x: x.here if isinstance(x, Away) else x, (args, kwargs))
    result = FORMULAS.get(operator, operator)(*args_here, **kwargs_here)
    if operator._schema.is_mutable:
        return args[0]
    if operator in PACKING and is_away:
        return Away(result[0]), result[1]
    return tree_map(lambda x: Away(x) if isinstance(x, Tensor) and is_away else x, result)


def lstm_cell(given: Tensor, recurrent: Tensor, c: Tensor, *biases: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of an LSTM, which the CPU does in another way: h, c and the gates."""
    i, f, g, o = (given + recurrent + sum(biases)).chunk(4, 1)
    gates = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    c = gates[1] * c + gates[0] * gates[2]
    return gates[3] * c.tanh(), c, torch.cat(gates, 1)


FORMULAS = {aten._thnn_fused_lstm_cell.default: lstm_cell}


def empty(size: Any, *_: Any, dtype: torch.dtype | None = None, **__: Any) -> Away:
    return Away(torch.empty(size, dtype=dtype))


def empty_strided(size: Any, stride: Any, dtype: torch.dtype | None = None, *_: Any, **__: Any) -> Away:
    return Away(torch.empty_strided(size, stride, dtype=dtype))


def copy_from(source: Any, target: Any, *_: Any) -> Any:
    run(aten.copy_.default, (target, source), {})
    return target


def moved(model: Any) -> Any:
    """A copy of `model` on the pretended device, tied weights tied."""
    twin, parameters = copy.deepcopy(model), {}
    for module in twin.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in parameters:  # kept beside its twin: an id is free again when its owner is gone
                    parameters[id(parameter)] = parameter, nn.Parameter(Away(parameter.detach()))
                module._parameters[name] = parameters[id(parameter)][1]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else Away(buffer)
    return twin


def check(model: Any) -> None:
    """Does with `model`, there, what a job does, and compares scores and transcripts with the CPU's."""
    from shrinkml.compression.calibration import calibrate
    from shrinkml.compression.factorize import factorize
    from shrinkml.compression.factorizers import decompose
    from shrinkml.compression.sites import find_layers
    from shrinkml.plan.compression_plan import CompressionPlan
    from shrinkml.training.dataset import Dataset
    from shrinkml.training.distillation import divergence, soft_targets

    noise = torch.randn(16_000, generator=torch.Generator().manual_seed(0)).numpy() / 10
    features, texts = [model.features(noise), model.features(noise[:11_000])], ["open door", "stop"]
    there = moved(model)
    expected, found = (one.teacher_forced(features, texts) for one in (model, there))
    scores = [[*one.values()][-1].logits for one in (expected, found)]
    torch.testing.assert_close(scores[1].detach().here, scores[0].detach(), atol=1e-5, rtol=0)
    assert there.loss(found).item() - model.loss(expected).item() < 1e-4
    assert there.transcribe(features) == model.transcribe(features)
    stats = calibrate(there, lambda: there.teacher_forced(features, texts))
    plan = CompressionPlan.of_ranks({layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model)})
    small = factorize(there, plan, decompose(there, "whitened", stats))
    soft = soft_targets(there, Dataset(features, texts, [1.0, 0.7], [None, None]))
    assert all(type(kept[0].values) is Tensor for kept in soft.values()), "kept by the CPU"
    assert math.isfinite(divergence(small.teacher_forced(features, texts), soft, [0, 1]).item())
    assert len(small.transcribe(features)) == 2


if __name__ == "__main__":
    torch.inference_mode = torch.no_grad  # type: ignore[misc] # its tensors know no subclasses
    _setup_privateuseone_for_python_backend("pretended")
    library = torch.library.Library("aten", "IMPL")
    for name, function in (("empty.memory_format", empty), ("empty_strided", empty_strided), ("_copy_from", copy_from)):
        library.impl(name, function, "PrivateUse1")
    import shrinkml

    for folder in sys.argv[1:]:
        recogniser = shrinkml.load(folder)
        with Pretending():
            check(recogniser)
        print(folder)
