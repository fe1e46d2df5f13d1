"""A layer whose matrices are each held in a form of its own."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from shrinkml.plan.choice import DENSE, Choice
from shrinkml.weights.forms import Holding, Remembered, get_form, hold


class FormLayer(nn.Module):
    """The base of the layers that surgery makes: torch's own, over matrices in any form.

    Parameters start as zeros: surgery or a state dict fills them.

    Attributes:
        held: name of a matrix -> how it is held.
        memory: name of a matrix -> what was computed of it when it was last used without gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, Holding] = {}
        self.memory: dict[str, Remembered] = {}

    def __getattr__(self, name: str) -> Any:
        """The dense matrix where `name` is that of one in another form, for code that reads the weights of a layer."""
        held = vars(self).get("held", {})
        if name in held and name not in self._parameters:
            return get_form(self, name).dense()
        return super().__getattr__(name)

    @property
    def choices(self) -> dict[str, Choice]:
        """The choice of every matrix that is not dense, by its name."""
        return {name: held.choice for name, held in self.held.items() if held.choice != DENSE}

    def hold(self, name: str, shape: tuple[int, int], choices: Mapping[str, Choice]) -> None:
        """Registers zeros for the matrix `name` [out, in] under its choice, dense where `choices` has none.

        Raises:
            PlanError: no form holds such a choice.
            RankError: a rank outside the matrix's range.
        """
        self.held[name] = hold(self, name, shape, choices.get(name, DENSE))

    def shown_choices(self) -> str:
        """The choices as `print` shows them."""
        return f"choices={ {name: choice.to_json() for name, choice in self.choices.items()} }"
