"""The layers of a recogniser, decomposed on calibration speech, in little more memory than the recogniser takes.

The speech is fed once, the statistics of large layers lie on the disk, and each decomposition is handed out, to be
written down, before the next is made.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from torch import nn

from agents.search.model_evaluator import BATCH_SIZE
from shrinkml.compression.calibration import LayerUse, calibrate, measure_use
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.compression.factorizer_table import FACTORIZERS
from shrinkml.compression.factorizers import decompose_each
from shrinkml.compression.large_tensors import large_tensors_apart
from shrinkml.compression.sites import (
    NO_PAIRS,
    Branches,
    Pairs,
    WiredPairs,
    find_layers,
    layers_within,
    model_cost,
    sharing,
)
from shrinkml.compression.unit_flow.recurrent_decomposition import numbered, unit_orders, with_units
from shrinkml.compression.unit_flow.recurrent_units import find_recurrent_units
from shrinkml.compression.unit_pairs import find_unit_pairs
from shrinkml.compression.units import decompose_units
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.choice import Choice
from shrinkml.tables import look_up
from shrinkml.training.dataset import Dataset
from shrinkml.weights.decomposition import Decomposition

FLOAT32_BYTES = 4
ACTIVATION_BYTES = 64 * 2**20  # of one layer's inputs and outputs; several are alive at a time


def layer_use(model: AsrModel, speech: Dataset) -> dict[str, LayerUse]:
    """The use of the layers of `model` while it is fed the transcripts of `speech`.

    Raises:
        CalibrationError: they do not work, or on what is not finite.
    """
    batch_size = fitting_batch_size(use_of_the_longest(model, speech))
    return measure_use(model.module, lambda: _feed(model, speech, batch_size))


def decomposed(
    model: AsrModel,
    speech: Dataset,
    factorizer: str,
    scratch: Path | None = None,
    *,
    left: Collection[str] = (),
    pairs: Pairs = NO_PAIRS,
) -> Iterator[tuple[str, Decomposition]]:
    """The layers of `model` but those that are left, decomposed one by one in its order: name and decomposition.

    Those of `pairs` between linear layers come last, decomposed into units: see
    `shrinkml.compression.units.decompose_units`. Recurrent ones are decomposed like all others, and their units ordered
    (`shrinkml.compression.unit_flow`).
    Layers that hear nothing but zeros are left out too, where the factorizer is calibrated: see `silent_layers`.

    Args:
        model: dense or in part low rank already.
        speech: what layers are calibrated on, where the factorizer looks at that.
        factorizer: name in FACTORIZERS.
        scratch: see `calibrate`.
        left: names of layers that stay as they are, and need neither statistics nor factors.
        pairs: layers whose units are to be cut -> their followers.

    Raises:
        UnknownNameError: no such factorizer.
        PlanError: a weight with NaN or infinite values.
        CalibrationError: the speech does not reach the layers, or gives statistics that the factorizer cannot use.
        OSError: the disk has no room for them.
    """
    with large_tensors_apart():
        uses, stats = use_of_the_longest(model, speech), {}
        in_blocks = sharing(pairs)
        calibrated = look_up(FACTORIZERS, factorizer, kind="factorizer").calibrated
        if calibrated or pairs:
            batch_size = fitting_batch_size(uses)
            unheard = {*left, *in_blocks} if calibrated else {layer.name for layer in find_layers(model.module)}
            unheard -= {*pairs.values()}
            stats = calibrate(model.module, lambda: _feed(model, speech, batch_size), scratch, left=unheard)
        orders, numbers = unit_orders(model.module, pairs, stats), numbered(model.module)
        apart = {*left, *in_blocks, *in_blocks.values()}
        for layer, found in decompose_each(model.module, factorizer, stats if calibrated else {}, left=apart):
            yield layer, with_units(found, layer, pairs, orders, numbers)
        yield from decompose_units(model.module, in_blocks, stats)


def unit_pairs(model: AsrModel, speech: Dataset, *, left: Collection[str] = ()) -> Pairs:
    """The layers of `model` whose units may be cut -> their followers, seen on the longest utterance of `speech`.

    Args:
        model: dense or in part compressed.
        speech: one utterance is enough.
        left: names of layers that stay as they are: their pairs are left out. So are pairs of linear layers which
            recurrent units feed that may be cut.
    """
    one = speech.subset(next(speech.batches(1)))
    found = find_unit_pairs(model.module, lambda: _feed(model, one, 1))
    recurrent = find_recurrent_units(model.module, lambda: model.teacher_forced(one.features, one.texts))
    pairs = recurrent.without(left)
    apart = {*left, *pairs.feeds}  # a matrix whose columns others may cut is decided about alone
    blocks = {first: second for first, second in found.items() if not {first, second} & apart}
    return WiredPairs({**blocks, **pairs}, pairs.feeds, pairs.why_not)


def residual_branches(model: AsrModel, speech: Dataset, *, left: Collection[str] = ()) -> Branches:
    """The branches of `model` that may be dropped, seen on the longest utterance of `speech`.

    Args:
        model: dense or in part compressed.
        speech: one utterance is enough.
        left: names of layers that stay as they are: branches with such are left out, and those that share one with
            another part of the model.
    """
    found = find_residual_branches(model.module, lambda: _feed(model, speech.subset(next(speech.batches(1))), 1))

    def may_go(path: str, dropped: Choice) -> bool:
        inside, elsewhere = layers_within(model.module, path, dropped)
        return bool(inside) and not elsewhere and inside.isdisjoint(left)

    return {path: dropped for path, dropped in found.items() if may_go(path, dropped)}


def silent_layers(module: nn.Module, found: Collection[str], *, left: Collection[str]) -> tuple[str, ...]:
    """The layers of `module` that heard nothing, and stay as they are: neither `found` by `decomposed` nor `left`."""
    names = (layer.name for layer in model_cost(module).layers)
    return tuple(name for name in names if name not in found and name not in left)


def use_of_the_longest(model: AsrModel, speech: Dataset) -> dict[str, LayerUse]:
    """The use of the layers of `model` on the longest utterance of `speech`.

    Raises:
        CalibrationError: they do not work, or on what is not finite.
    """
    return measure_use(model.module, lambda: _feed(model, speech.subset(next(speech.batches(1))), 1))


def fitting_batch_size(uses: dict[str, LayerUse]) -> int:
    """The number of utterances as long as the one that `uses` tell of that may be fed at a time."""
    largest = FLOAT32_BYTES * max(use.largest for use in uses.values())
    return max(1, min(BATCH_SIZE, ACTIVATION_BYTES // largest))


def feed(model: AsrModel, speech: Dataset) -> None:
    """Feed the transcripts of `speech` to `model`, as many at a time as calibration does."""
    _feed(model, speech, fitting_batch_size(use_of_the_longest(model, speech)))


def _feed(model: AsrModel, speech: Dataset, batch_size: int) -> None:
    model.module.eval()
    for batch in speech.batches(batch_size):
        model.teacher_forced([speech.features[i] for i in batch], [speech.texts[i] for i in batch])
