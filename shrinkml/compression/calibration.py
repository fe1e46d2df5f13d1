"""Statistics of the inputs of each matrix while a model works, for whitening and for counts of MACs.

Gram matrices are kept in the precision of the model. Those of a large one take more memory than the model itself, so
large ones lie on the disk, each in memory only while it is added to.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.compression.disk_room import DiskRoom
from shrinkml.compression.finite import all_finite
from shrinkml.compression.sites import find_sites, sites_by_module
from shrinkml.errors import CalibrationError
from shrinkml.layers.adapters import ADAPTERS

Observe = Callable[[str, Tensor], None]  # is told a layer's name and inputs [frames, in]


@dataclass(frozen=True, slots=True)
class LayerStats:
    """The inputs of one matrix over a calibration run.

    Attributes:
        gram: [in, in], the sum over frames of x x^T; by the CPU, on the disk if it is large.
        total: [in], the sum over frames of x.
        n_frames: inputs seen: products with the matrix.
    """

    gram: Tensor
    total: Tensor
    n_frames: int

    @property
    def is_silent(self) -> bool:
        """True where all inputs were 0: the matrix hears nothing, and nothing tells which of its directions matter."""
        return not bool(self.gram.diagonal().any())


@dataclass(frozen=True, slots=True)
class LayerUse:
    """The work of one matrix in a run.

    Attributes:
        n_frames: products with the matrix.
        largest: numbers in the largest input and its product, taken together.
    """

    n_frames: int
    largest: int


@torch.no_grad()
def calibrate(
    model: nn.Module, run: Callable[[], object], scratch: Path | None = None, *, left: Collection[str] = ()
) -> dict[str, LayerStats]:
    """Statistics of every factorizable matrix over one call of `run`: layer name -> statistics.

    Recurrent matrices are described by the hidden states that they multiply. Matrices that `run` does not reach, and
    embeddings, which are looked up and not multiplied, are left out. Padding counts as input: give sequences of
    different lengths packed, as `nn.LSTM` wants them. Matrices that are always fed the same tensor, one after the
    other, share one LayerStats: query, key and value projections do.

    Args:
        model: dense or in part low rank; it is the same afterwards, also when `run` fails.
        run: lets the model work on the calibration speech.
        scratch: folder on whose disk large gram matrices lie, in unnamed files; the system's for such files where None.
        left: names of layers that are left out.

    Raises:
        CalibrationError: `run` reached no layer though none is left out, or an input was not finite.
        OSError: the disk has no room for them.
    """
    room = DiskRoom(scratch)
    sums = _Sums(room)
    with observed(model, sums.add, left):
        run()
    if not left:  # the rest may be embeddings alone
        _check_reached(sums.of)
    for layer, stats in sums.of.items():
        _check_finite(layer, stats.gram.diagonal())  # it bounds the rest, by Cauchy and Schwarz
        room.leave_memory()
    return sums.of


@torch.no_grad()
def measure_use(model: nn.Module, run: Callable[[], object]) -> dict[str, LayerUse]:
    """Count the work of every matrix that `calibrate` would describe in one call of `run`: layer name -> use.

    Raises:
        CalibrationError: `run` reached no layer, or an input was not finite.
    """
    uses: dict[str, LayerUse] = {}
    totals: dict[str, Tensor] = {}
    n_outs = {site.layer: site.form.shape[0] for site in find_sites(model)}

    def observe(layer: str, x: Tensor) -> None:
        before = uses.get(layer, LayerUse(0, 0))
        largest = len(x) * (x.shape[1] + n_outs[layer])
        uses[layer] = LayerUse(before.n_frames + len(x), max(before.largest, largest))
        totals[layer] = totals[layer] + x.sum() if layer in totals else x.sum()

    with observed(model, observe):
        run()
    _check_reached(uses)
    for layer, total in totals.items():
        _check_finite(layer, total)
    return uses


def calls_per_s(uses: Mapping[str, LayerUse], audio_s: float) -> dict[str, float]:
    """Products with each layer's matrix per second of the `audio_s` seconds of speech that `uses` were measured on."""
    return {layer: use.n_frames / audio_s for layer, use in uses.items()}


@dataclass(frozen=True, slots=True)
class _Sum:
    """Some statistics before and after the inputs `x`, which is kept alive to be known again."""

    x: Tensor
    version: int
    before: LayerStats | None
    after: LayerStats

    def is_of(self, x: Tensor, before: LayerStats | None) -> bool:
        """True where `before`, given `x`, becomes the same."""
        mine = self.x
        same_place = mine.data_ptr() == x.data_ptr() and mine.shape == x.shape and mine.stride() == x.stride()
        return before is self.before and same_place and not x.is_inference() and x._version == self.version


class _Sums:
    """Adds up statistics: layer -> LayerStats, the same object where layers are fed the same inputs."""

    def __init__(self, room: DiskRoom) -> None:
        self.of: dict[str, LayerStats] = {}
        self._room = room
        self._last: _Sum | None = None

    def add(self, layer: str, x: Tensor) -> None:
        """Adds the inputs `x` [frames, in] of `layer`."""
        before = self.of.get(layer)
        if self._last is None or not self._last.is_of(x, before):
            self._last = None  # lets go of a gram matrix before the next is made
            self._last = _Sum(x, -1 if x.is_inference() else x._version, before, self._added(before, x))
        self.of[layer] = self._last.after

    def _added(self, before: LayerStats | None, x: Tensor) -> LayerStats:
        if before is None:
            return LayerStats(self._room.keep(x.T @ x), x.sum(0), len(x))
        gram = torch.addmm(before.gram.to(x.device), x.T, x)
        return LayerStats(self._room.keep(gram), before.total + x.sum(0), before.n_frames + len(x))


def _check_reached(found: Collection[str]) -> None:
    if not found:
        raise CalibrationError("the calibration run reached no factorizable layer of the model; let it call the model")


def _check_finite(layer: str, found: Tensor) -> None:
    if not all_finite(found):
        raise CalibrationError(f"layer {layer!r} got NaN or infinite inputs in calibration; check features and weights")


@contextmanager
def observed(model: nn.Module, observe: Observe, left: Collection[str] = ()) -> Iterator[None]:
    """Tell `observe` of the inputs of every matrix of `model` but those of the layers that are `left`."""
    with ExitStack() as hooks:
        for module, sites in sites_by_module(model).items():
            layers = {site.name: site.layer for site in sites if site.layer not in left}
            if not layers:
                continue
            hook = _hook(layers, observe)
            hooks.enter_context(module.register_forward_pre_hook(hook, with_kwargs=True))
        yield


def _hook(layers: Mapping[str, str], observe: Observe) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
    """A forward pre-hook that tells `observe` of the matrices `layers` (name in the module -> layer)."""

    def listen(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name, x in ADAPTERS[type(module)].inputs(module, *args, **kwargs):
            if name in layers:
                observe(layers[name], x)

    return listen
