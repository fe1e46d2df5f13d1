"""Columns of a matrix that units of recurrent layers feed: which are left under a plan, and what they make up for.

Where units are cut, the columns that they feed are cut as well. What the outputs lose is least if the others take over
what the regression of the cut inputs on them foresees, over the calibration frames, and the bias the rest of the mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from shrinkml.errors import PlanError
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed
from shrinkml.weights.decomposition import Decomposition
from shrinkml.weights.form import Form, floats_of
from shrinkml.weights.forms import form_of


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a matrix that are left, and those that are cut; ascending."""

    left: Tensor
    cut: Tensor

    @classmethod
    def under(
        cls, plan: CompressionPlan, layer: str, feeds: Sequence[Feed], known: Mapping[str, Decomposition]
    ) -> Self:
        """Those of `layer` under `plan`.

        Args:
            plan: of a model.
            layer: of it.
            feeds: what feeds its columns.
            known: the decompositions of the layers that feed them, and its own.

        Raises:
            PlanError: the choice at the layer leaves another number of columns.
        """
        n_in = len(known[layer].mean)
        gone = torch.zeros(n_in, dtype=torch.bool)
        for feed in feeds:
            if feed.n_cut(choice := plan.choice(feed.layer)):
                rows = known[feed.layer].rows_of(choice.outputs or 0)
                stays = torch.zeros(feed.units, dtype=torch.bool)
                stays[rows[rows < feed.units]] = True
                gone[feed.first : feed.first + feed.units] = ~stays
        n_left, inputs = n_in - int(gone.sum()), plan.choice(layer).inputs
        if (inputs or n_left) != n_left or (inputs is None and bool(gone.any())):
            raise PlanError(
                f"layer {layer!r} has {inputs} inputs in the plan, and {n_left} are left of the units that feed it; "
                "units are cut of a layer and of all that multiply them"
            )
        return cls((~gone).nonzero().flatten(), gone.nonzero().flatten())

    def of_form(self, form: Form, decomposition: Decomposition) -> Form:
        """The matrix `form` of the columns that are left, dense, with what they make up for."""
        matrix = form.dense()
        choice = Choice(inputs=len(self.left))
        return form_of(choice).stored(choice, [self._taken(matrix, self._takes_over(decomposition))])

    def of_decomposition(self, decomposition: Decomposition) -> Decomposition:
        """The same of the decomposition of the matrix."""
        down = self._taken(decomposition.down, self._takes_over(decomposition)) if len(decomposition.down) else None
        mean, root = decomposition.mean[self.left], decomposition.root
        down = decomposition.down[:, self.left] if down is None else down
        if len(root):
            rows = root[self.left].double()
            root = torch.linalg.cholesky(rows @ rows.T).to(root)
        means = down @ mean if len(down) else decomposition.means
        return replace(decomposition, down=down, mean=mean, root=root, means=means)

    def _taken(self, matrix: Tensor, takes_over: Tensor | None) -> Tensor:
        left = matrix[:, self.left.to(matrix.device)]
        if takes_over is None:
            return left.clone()
        return left + matrix[:, self.cut.to(matrix.device)] @ takes_over.to(matrix)

    def _takes_over(self, decomposition: Decomposition) -> Tensor | None:
        """[cut, left] the share of each cut input that those left stand for; None where nothing is known of inputs."""
        if not len(decomposition.root):
            return None
        left, cut = decomposition.root[self.left].double(), decomposition.root[self.cut].double()
        share: Tensor = torch.linalg.solve(left @ left.T, left @ cut.T).T
        return share


def mean_shift(before: Form, after: Form, mean: Tensor, columns: Columns, rows: Tensor | None) -> Tensor:
    """[rows] what the bias must gain to keep the mean output.

    Args:
        before: a matrix.
        after: what became of it.
        mean: [in] of its inputs; zeros where it is not known.
        columns: of the inputs that are left.
        rows: that are left of it; None where all are.
    """
    was, now = before.dense(), after.dense()
    was = was if rows is None else was[rows.to(was.device)]
    mean = mean.to(floats_of(before))
    shift: Tensor = was @ mean - now.to(was) @ mean[columns.left.to(mean.device)]
    return shift
