"""Training and fine-tuning, with or without a teacher."""

import math
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shrinkml.errors import ConfigError, StoppedError
from shrinkml.events import ShouldStop
from shrinkml.freed_memory import give_back_memory
from shrinkml.models.protocol import AsrModel
from shrinkml.training.activation_memory import utterances_at_a_time
from shrinkml.training.augmentation import masked, warped
from shrinkml.training.dataset import Dataset
from shrinkml.training.distillation import DISTILL_WEIGHT, SoftTargets, divergence
from shrinkml.training.guard import Guard

WARM_UP = 0.1  # share of the steps in which the learning rate rises; then a half cosine leads to zero
GRADIENT_NORM = 5.0  # larger gradients are scaled down to it: LSTMs explode now and then
WEIGHT_DECAY = 1e-4
GIVE_BACK_S = 5.0  # between two times that what is freed is given back: batches of all lengths leave holes of gigabytes
BUCKET = 20  # batches whose utterances are sorted by length together: little padding, still shuffled


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished pass over the training set.

    Attributes:
        number: 1 for the first.
        of: epochs in all.
        loss: mean training loss.
    """

    number: int
    of: int
    loss: float


def train(
    model: AsrModel,
    dataset: Dataset,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    warp: float = 0.0,
    mixed_precision: bool = False,
    soft_targets: SoftTargets | None = None,
    guard: Guard | None = None,
    memory_bytes: int | None = None,
    state_file: Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Callable[[int], None] = lambda n: None,
    should_stop: ShouldStop = lambda: False,
) -> None:
    """Trains `model` in place with AdamW and leaves it in evaluation mode.

    The same arguments give the same weights on the same machine and thread count.

    Args:
        model: a recogniser whose module is to be trained.
        dataset: what to learn.
        epochs: passes over `dataset`; 0 does nothing.
        learning_rate: peak of the schedule.
        batch_size: utterances per step.
        seed: of order, dropout, masks and warps.
        warp: how far the frequency axis is stretched at most; see `shrinkml.training.augmentation.warped`.
        mixed_precision: multiply in bfloat16, which some processors do several times as fast; not for families that are
            `float32_only`.
        soft_targets: a teacher's, of `dataset`: learnt beside the transcripts.
        guard: goes back and lowers the rate where the model gets worse on speech that is held out.
        memory_bytes: that the outputs of layers may take in a step; a batch that needs more is learned from in parts,
            whose gradients are added up. None: any.
        state_file: written after every epoch, read when it exists: a killed training goes on from its last epoch.
        on_epoch: called with every finished epoch.
        on_step: called after every step with the utterances that were learned from, in all epochs.
        should_stop: asked before every part of a step.

    Raises:
        ConfigError: `state_file` belongs to a training with other arguments.
        StoppedError: `should_stop` said so; finished epochs are kept in `state_file`.
    """
    module = model.module
    device = next(module.parameters()).device
    n_steps = epochs * math.ceil(len(dataset) / batch_size)
    optimizer = torch.optim.AdamW(module.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, n_steps))
    parts: dict[str, Any] = {"module": module, "optimizer": optimizer, "schedule": schedule}
    if guard is not None:
        parts["guard"] = guard
    identity = repr(
        (
            epochs,
            learning_rate,
            batch_size,
            seed,
            warp,
            mixed_precision,
            soft_targets is None,
            len(dataset),
            _shapes(module),
        )
    )
    start = _resume_(parts, identity, state_file)
    at_a_time = batch_size
    if memory_bytes is not None and start < epochs:
        at_a_time = utterances_at_a_time(
            model, dataset, memory_bytes=memory_bytes, batch_size=batch_size, mixed_precision=mixed_precision
        )
    if guard is not None and start < epochs:
        guard.begin(module, optimizer)
    given_back = time.monotonic()
    module.train()
    with torch.random.fork_rng(devices=[]):
        for epoch in range(start, epochs):
            # Seeded per epoch, so that a resumed training draws what an uninterrupted one would have drawn.
            torch.manual_seed(seed * 10_007 + epoch)
            shuffler = random.Random(seed * 10_007 + epoch)
            total, n_learned = 0.0, epoch * len(dataset)
            batches = _shuffled_batches(dataset, batch_size, shuffler)
            for n, batch in enumerate(batches, start=1):
                if guard is not None and guard.gave_up:
                    break
                optimizer.zero_grad(set_to_none=True)
                parts_of_batch = [batch[i : i + at_a_time] for i in range(0, len(batch), at_a_time)]
                with torch.autocast(device.type, torch.bfloat16, enabled=mixed_precision):
                    loss = sum(
                        _add_gradient_(_loss(model, dataset, part, warp, soft_targets), len(part) / len(batch))
                        for part in _unless(should_stop, parts_of_batch, f"epoch {epoch + 1} of {epochs}")
                    )
                nn.utils.clip_grad_norm_(module.parameters(), GRADIENT_NORM)
                optimizer.step()
                total += loss * len(batch)
                schedule.step()
                n_learned += len(batch)
                on_step(n_learned)
                if time.monotonic() - given_back > GIVE_BACK_S:
                    give_back_memory()
                    given_back = time.monotonic()
                if guard is not None:
                    step, ends = epoch * len(batches) + n, n == len(batches)
                    guard.after_step(module, optimizer, schedule, step=step, loss=loss, epoch_ends=ends)
            on_epoch(Epoch(epoch + 1, epochs, total / len(dataset)))  # before saving: told twice is better than never
            _save(parts, identity, epoch + 1, state_file)
    if guard is not None and epochs:
        guard.end(module)
    module.eval()
    # The schedule and the optimizer refer to each other: without a word they would keep twice the weights for long.
    optimizer.zero_grad(set_to_none=True)
    optimizer.state.clear()
    give_back_memory()


def _unless(should_stop: ShouldStop, batches: Iterable[list[int]], place: str) -> Iterator[list[int]]:
    """Each of `batches`, as long as it is not to stop.

    Raises:
        StoppedError: `should_stop` said so.
    """
    for batch in batches:
        if should_stop():
            raise StoppedError(f"training stopped in {place}")
        yield batch


def _loss(model: AsrModel, dataset: Dataset, batch: Sequence[int], warp: float, soft: SoftTargets | None) -> Tensor:
    """The loss to lower on the utterances `batch`."""
    features = [masked(warped(dataset.features[i], warp)) for i in batch]
    heads = model.teacher_forced(features, [dataset.texts[i] for i in batch])
    loss = model.loss(heads)
    return loss if soft is None else (1 - DISTILL_WEIGHT) * loss + DISTILL_WEIGHT * divergence(heads, soft, batch)


def _add_gradient_(loss: Tensor, share: float) -> float:
    """Add the gradient of `share` of `loss` to those that are there; returns that share of it."""
    part = loss * share
    part.backward()  # type: ignore[no-untyped-call]
    return float(part.detach())


def _rate(step: int, n_steps: int) -> float:
    """Factor on the learning rate at `step` of `n_steps`."""
    rising = max(1, int(WARM_UP * n_steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, n_steps - rising))))


def _shuffled_batches(dataset: Dataset, batch_size: int, shuffler: random.Random) -> list[list[int]]:
    order = list(range(len(dataset)))
    shuffler.shuffle(order)
    batches = []
    for start in range(0, len(order), BUCKET * batch_size):
        bucket = sorted(order[start : start + BUCKET * batch_size], key=lambda i: len(dataset.features[i]))
        batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    shuffler.shuffle(batches)
    return batches


def _shapes(module: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(parameter.shape) for parameter in module.parameters()]


def _save(parts: dict[str, Any], identity: str, epoch: int, state_file: Path | None) -> None:
    if state_file is None:
        return
    partial = state_file.with_name(state_file.name + ".partial")
    torch.save(
        {"identity": identity, "epoch": epoch, **{name: part.state_dict() for name, part in parts.items()}}, partial
    )
    os.replace(partial, state_file)


def _resume_(parts: dict[str, Any], identity: str, state_file: Path | None) -> int:
    """Loads what `_save` wrote, if anything; returns the epochs done."""
    if state_file is None or not state_file.exists():
        return 0
    state = torch.load(state_file, map_location="cpu", weights_only=True)
    if state["identity"] != identity:
        raise ConfigError(f"{state_file} is the state of another training; remove it, or choose another folder")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])
