"""A form that the project lacks: whole numbers of eight bits and a scale for each row."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost

EIGHT_BITS = Choice(bits=8)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """The matrix `codes` [out, in] * `scale` [out, 1]; implements `Form`."""

    codes: Tensor
    scale: Tensor

    suffixes: ClassVar[tuple[str, ...]] = ("_codes", "_scale")
    labels: ClassVar[tuple[str, ...]] = ("",)

    @classmethod
    def holds(cls, choice):
        return choice == EIGHT_BITS

    @classmethod
    def zeros(cls, choice, shape):
        return cls(torch.zeros(shape, dtype=torch.int8), torch.zeros(shape[0], 1))

    @classmethod
    def stored(cls, choice, parts):
        return cls(*parts)

    @classmethod
    def compressed(cls, form, choice, decomposition):
        dense = form.dense().detach()
        scale = dense.abs().amax(1, keepdim=True) / 127
        return cls((dense / scale).round().to(torch.int8), scale)

    @property
    def choice(self):
        return EIGHT_BITS

    @property
    def shape(self):
        return tuple(self.codes.shape)

    @property
    def parts(self):
        return self.codes, self.scale

    @property
    def factors(self):
        return (self.dense(),)

    def cost(self, calls_per_s=0.0):
        weights = self.codes.numel()
        return Cost(weights, self.codes.nbytes + self.scale.nbytes, calls_per_s * weights)

    def dense(self):
        return self.codes * self.scale

    def multiply(self, x, bias=None):
        return F.linear(x, self.dense(), bias)

    def look_up(self, indices, padding_idx=None):
        return F.embedding(indices, self.dense(), padding_idx)
