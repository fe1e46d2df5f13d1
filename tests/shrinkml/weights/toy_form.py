"""A form that the project lacks: whole numbers of sixteen bits and a scale for each row."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost
from shrinkml.weights.dense import Dense

SIXTEEN_BITS = Choice(bits=16)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded:
    """The matrix `codes` [out, in] * `scale` [out, 1]; implements `Form`."""

    codes: Tensor
    scale: Tensor

    suffixes: ClassVar[tuple[str, ...]] = ("_codes", "_scale")
    file_suffixes: ClassVar[tuple[str, ...]] = suffixes
    labels: ClassVar[tuple[str, ...]] = ("",)
    along: ClassVar[tuple[int | None, ...]] = (None, None)
    remembered: ClassVar[bool] = False

    @classmethod
    def holds(cls, choice):
        return choice == SIXTEEN_BITS

    @classmethod
    def zeros(cls, choice, shape):
        return cls(torch.zeros(shape, dtype=torch.int16), torch.zeros(shape[0], 1))

    @classmethod
    def stored(cls, choice, parts):
        return cls(*parts)

    @classmethod
    def opened(cls, choice, shape, tensors):
        return cls(*(tensors[suffix] for suffix in cls.file_suffixes))

    @classmethod
    def compressed(cls, form, choice, decomposition):
        dense = form.dense().detach()
        scale = dense.abs().amax(1, keepdim=True) / 32767
        return cls((dense / scale).round().to(torch.int16), scale)

    @property
    def choice(self):
        return SIXTEEN_BITS

    @property
    def shape(self):
        return tuple(self.codes.shape)

    @property
    def parts(self):
        return self.codes, self.scale

    @property
    def files(self):
        return dict(zip(self.file_suffixes, self.parts, strict=True))

    @property
    def widened(self):
        return Dense(self.dense())

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
