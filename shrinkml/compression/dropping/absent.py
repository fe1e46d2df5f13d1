"""Placeholders of the modules of a dropped branch, which hold no weights and compute nothing."""

from typing import Any

from torch import Tensor, nn

from shrinkml.plan.choice import Choice
from shrinkml.plan.cost import Cost

# Arguments of attention in decoders of transformers: a cache whose steps are counted by what each layer puts there,
# and what the encoder heard, where it is that which is attended to.
CACHE, HEARD = "past_key_values", "key_value_states"


class HandsOn(nn.Module):
    """In place of a module before the branch's own, whose output went there alone: gives the tensor that it takes."""

    def __init__(self, instead_of: nn.Module) -> None:
        """Keeps the settings of the module, some of which others ask for: the number of its layer, or its heads."""
        super().__init__()
        own = {*vars(self), "forward"}
        settings = {name: value for name, value in vars(instead_of).items() if name not in own}
        vars(self).update({name: value for name, value in settings.items() if not isinstance(value, Tensor)})
        self.train(instead_of.training)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The first tensor."""
        return next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))


class Absent(HandsOn):
    """In place of the module whose output was added to what it was computed from: adds nothing.

    It gives a zero without dimensions, as good as zeros of any shape.

    Attributes:
        choice: how the module was dropped.
        was: cost of all that was dropped with it.
        heads: heads and their size, where a cache shall hold zeros of the shape that the module put there.
    """

    def __init__(self, instead_of: nn.Module, choice: Choice, was: Cost) -> None:
        """Like `HandsOn`; for the arguments see the attributes."""
        super().__init__(instead_of)
        self.choice = choice
        self.was = was
        self.heads: tuple[int, int] | None = None

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing, in as many values as the module gave."""
        taken = super().forward(*args, **kwargs)
        if kwargs.get(CACHE) is not None:
            self._count_steps(taken, kwargs[CACHE], kwargs.get(HEARD))
        nothing = taken.new_zeros(())
        return nothing if self.choice.returns is None else (nothing, *[None] * (self.choice.returns - 1))

    def _count_steps(self, taken: Tensor, cache: Any, heard: Tensor | None) -> None:
        """Puts zeros for the steps of `taken` [batch, steps, hidden] into the `cache` of a decoder.

        What was `heard` is none of its steps, and stands there for graphs alone.
        """
        if heard is None:
            kept, steps = getattr(cache, "self_attention_cache", cache), taken.shape[1]
        elif self.heads is None or cache.is_updated.get(self.layer_idx):
            return
        else:
            kept, steps = cache.cross_attention_cache, heard.shape[1]
            cache.is_updated[self.layer_idx] = True
        n, size = self.heads or (1, 1)
        zeros = taken.new_zeros(taken.shape[0], n, steps, size)
        kept.update(zeros, zeros, self.layer_idx)
