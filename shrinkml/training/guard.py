"""A guard of a training: it notices soon when a model gets worse, goes back to its best weights and halves the rate.

The thresholds are our own. Checks come early (after 1, 2, 4, 8, ... steps from the start or the last setback) and after
every epoch, on speech that is not learned from.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

WORSE = 1.5  # times the lowest loss so far that a check may show while training is on its way
SLACK = 0.05  # nats per token more: losses near 0 double by nothing
NOISE, NOISE_SLACK = 1.1, 0.02  # the same of the end beside the start: on few utterances, less is none
MAX_SETBACKS = 12  # the rate is 4,000 times lower by then; training ends with the best weights

Check = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Setback:
    """A training that went back to its best weights.

    Attributes:
        number: 1 for the first.
        step: after which the model was found to be worse.
        loss: that was found, nats per token.
        best: that of the weights which it went back to.
        rate: the peak learning rate from here on; 0 where training ended.
    """

    number: int
    step: int
    loss: float
    best: float
    rate: float


class Guard:
    """Watches the training of one module; a part of its state, so that a killed training goes on with it."""

    def __init__(self, check: Check, *, on_setback: Callable[[Setback], None] = lambda setback: None) -> None:
        """A guard that has seen nothing yet.

        Args:
            check: the loss of the module on held-out speech, nats per token; leaves random numbers alone.
            on_setback: called with every setback.
        """
        self._check = check
        self._on_setback = on_setback
        self._started = False
        self._first = self._best = math.inf
        self._good: dict[str, Any] = {}
        self._since = self._setbacks = 0

    def begin(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """Note the weights that a training begins with; nothing where it goes on."""
        if not self._started:
            self._started = True
            self._first = self._best = self._checked(module)
            self._keep(module, optimizer)

    @property
    def gave_up(self) -> bool:
        """True once no rate is low enough."""
        return self._setbacks >= MAX_SETBACKS

    def after_step(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        *,
        step: int,
        loss: float,
        epoch_ends: bool,
    ) -> None:
        """Check the module if it is time, or if `loss`, that of the step, is no number; go back where it is worse."""
        self._since += 1
        if not math.isfinite(loss):
            self._go_back(module, optimizer, schedule, step, loss)
        elif epoch_ends or self._since & (self._since - 1) == 0:
            found = self._checked(module)
            if found <= WORSE * self._best + SLACK:
                if found < self._best:
                    self._best = found
                    self._keep(module, optimizer)
            else:
                self._go_back(module, optimizer, schedule, step, found)

    def end(self, module: nn.Module) -> None:
        """Give the module its best weights where training left it worse than it began."""
        if self._checked(module) > NOISE * self._first + NOISE_SLACK:
            module.load_state_dict(self._good["module"])

    def state_dict(self) -> dict[str, Any]:
        """Everything that the guard knows."""
        return {
            "started": self._started,
            "losses": [self._first, self._best],
            "counts": [self._since, self._setbacks],
            "good": self._good,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._started, self._good = state["started"], state["good"]
        self._first, self._best = state["losses"]
        self._since, self._setbacks = state["counts"]

    def _checked(self, module: nn.Module) -> float:
        training = module.training
        found = self._check()
        module.train(training)
        return found if math.isfinite(found) else math.inf

    def _keep(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._good = copy.deepcopy({"module": module.state_dict(), "optimizer": optimizer.state_dict()})

    def _go_back(
        self,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        step: int,
        loss: float,
    ) -> None:
        """Restore the best weights; the peak becomes half of the rate at which it went wrong."""
        rate, planned = float(optimizer.param_groups[0]["lr"]), float(schedule.base_lrs[0])
        peak = 0.5 * (min(rate, planned) or planned)
        module.load_state_dict(self._good["module"])
        optimizer.load_state_dict(copy.deepcopy(self._good["optimizer"]))
        schedule.base_lrs = [peak for _ in schedule.base_lrs]
        for group in optimizer.param_groups:
            group["lr"] = peak * schedule.lr_lambdas[0](schedule.last_epoch)
        self._since = 0
        self._setbacks += 1
        self._on_setback(Setback(self._setbacks, step, loss, self._best, 0.0 if self.gave_up else peak))
