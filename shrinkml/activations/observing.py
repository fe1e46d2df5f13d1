"""Observation of the ranges of activations on speech, before anything is rounded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from shrinkml.activations.places import quantizers
from shrinkml.compression.finite import all_finite
from shrinkml.errors import CalibrationError


@torch.no_grad()
def observe_(model: nn.Module, run: Callable[[], object]) -> None:
    """Have the quantizers of `model` learn the ranges of one call of `run`, in which nothing is rounded.

    Args:
        model: with quantizers, in eval.
        run: lets the model work on speech, batch by batch.

    Raises:
        CalibrationError: a place that `run` does not reach, or that sees numbers that are not finite.
    """
    with _watching(model):
        run()
    for name, quantizer in quantizers(model):
        if quantizer.is_empty:
            raise CalibrationError(f"the calibration run did not reach {name}, whose range is to be observed")
        if not all_finite(torch.stack((quantizer.low, quantizer.high))):
            raise CalibrationError(f"{name} got NaN or infinite numbers in calibration; check features and weights")


@contextmanager
def ranges_kept(model: nn.Module) -> Iterator[None]:
    """Has the quantizers of `model` forget the ranges of what is run inside, though it is in training."""
    before = [(quantizer, quantizer.low.clone(), quantizer.high.clone()) for _, quantizer in quantizers(model)]
    try:
        yield
    finally:
        for quantizer, low, high in before:
            quantizer.low.copy_(low)
            quantizer.high.copy_(high)


@contextmanager
def _watching(model: nn.Module) -> Iterator[None]:
    found = [quantizer for _, quantizer in quantizers(model)]
    for quantizer in found:
        quantizer.watching = True
    try:
        yield
    finally:
        for quantizer in found:
            quantizer.watching = False
