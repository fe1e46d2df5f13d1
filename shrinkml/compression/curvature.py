"""How far a model's outputs are expected to move when one layer is cut to a rank: a guess that costs no evaluation.

To second order, the Kullback-Leibler divergence of the outputs after a change D of the weights is half the mean square
of the change's slope <D, G>, G being the gradient of the log-likelihood of labels that the model itself draws (the
Fisher information; Amari 1998, Natural gradient works efficiently in learning). Cutting a layer at rank r takes all its
directions from r on away, so that one backward pass per batch tells the slopes of all layers at all ranks. Unlike the
energy of a spectrum, which knows one layer at a time, these are nats for every layer: comparable.

References:
    Hsu et al. 2022, Language model compression with weighted low-rank factorization, arXiv:2207.00112 (Fisher
    information to weigh rows; here it weighs whole cuts).
"""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from shrinkml.compression.factorize import Decomposition
from shrinkml.compression.factors import get_parameters
from shrinkml.compression.layers import Slot, find_slots
from shrinkml.errors import PlanError

Divergences = dict[str, tuple[float, ...]]


def expected_divergences(
    model: nn.Module, decompositions: Mapping[str, Decomposition], surprises: Iterable[Tensor]
) -> Divergences:
    """Layer -> the divergence of a batch's outputs, in nats, if it alone is cut to rank 0, 1, ... of its decomposition.

    Never rising with the rank, and 0 at the last, which cuts nothing. A layer that the surprises do not depend on costs
    nothing at any rank. Gradients of `model` are those of before afterwards: none.

    Args:
        model: dense or in part low rank.
        decompositions: of each of its layers.
        surprises: of one batch after the other, the negative log-likelihood (a scalar, nats) of labels that the model
            drew itself; each is computed when it is asked for. The batches are of about one size.

    Raises:
        PlanError: no surprises.
    """
    slots: dict[str, Slot] = {}
    for slot in find_slots(model):
        slots.setdefault(slot.layer, slot)
    drawn = [
        {name: _slopes(slots[name], found) for name, found in decompositions.items()}
        for _ in _backward(model, surprises)
    ]
    if not drawn:
        raise PlanError("no utterance to learn from what the ranks of a layer do; give at least one")
    # A noisy estimate may rise with the rank; what it stands for hardly ever does.
    return {
        name: tuple(_never_rising(torch.stack([slopes[name] for slopes in drawn]).square().mean(0) / 2).tolist())
        for name in decompositions
    }


def _backward(model: nn.Module, surprises: Iterable[Tensor]) -> Iterator[None]:
    """The gradients of each of `surprises` in turn; none before and afterwards."""
    for surprise in surprises:
        model.zero_grad(set_to_none=True)
        surprise.backward()  # type: ignore[no-untyped-call]
        yield
    model.zero_grad(set_to_none=True)


@torch.no_grad()
def _slopes(slot: Slot, decomposition: Decomposition) -> Tensor:
    """[k + 1] on the CPU: the slope of the loss along what each rank of the matrix in `slot` cuts away."""
    along = _along(slot, decomposition)
    if slot.bias is not None:
        bias = slot.module.get_parameter(slot.bias).grad
        if bias is not None:  # it takes over what the directions multiply with on average
            along = along - decomposition.means * (decomposition.up.T @ bias)
    return torch.cat((along.flip(0).cumsum(0).flip(0), along.new_zeros(1))).cpu()


def _along(slot: Slot, decomposition: Decomposition) -> Tensor:
    """[k] the slope of the loss along each direction of the matrix."""
    up, down = decomposition.up, decomposition.down
    *ups, last = get_parameters(slot.module, slot.name)
    if last.grad is None:
        return torch.zeros_like(decomposition.singular_values)
    gradient = last.grad.flatten(1)
    if ups:  # the gradient of `down` is that of the product, seen from the columns of `up`
        up = torch.linalg.lstsq(ups[0].detach(), up).solution
    return ((up.T @ gradient) * down).sum(1)


def _never_rising(values: Tensor) -> Tensor:
    return values.flip(0).cummax(0).values.flip(0)
