import pytest

from agents.search.look.lever_losses import MEASURED, PER_BIT, all_lever_losses, n_measured_of_levers
from agents.search.look.recalled_losses import RecalledLosses
from envs.levers import BITS, LEVERS, SPARSITIES, UNITS, pulled
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.weights.forms import form_of

LAYER = LayerSpec("layer", "linear", 64, 96)
LOWER = [Choice(rank=4), Choice(rank=16), Choice(rank=32)]


class Told:
    """Losses as a function of the layer's choice."""

    tells, tokens_per_utterance = True, 1.0

    def __init__(self, loss):
        self.loss, self.asked = loss, []

    def divergence(self, plan):
        self.asked.append(plan.choice("layer"))
        return self.loss(self.asked[-1])


def measured(levers, loss, *, present=DENSE, lower=LOWER):
    told, choices = Told(loss), pulled(LAYER, present, levers)
    found = all_lever_losses(RecalledLosses(lambda: told), "layer", choices, lower)
    assert n_measured_of_levers(choices, lower) >= len(told.asked)
    return found, told.asked


@pytest.mark.parametrize("lever", MEASURED)
def test_every_value_of_a_lever_has_a_loss(lever):
    (found,), _ = measured((lever,), lambda choice: 0.1)
    assert {getattr(choice, lever) for choice in pulled(LAYER, DENSE, (lever,))[:-1]} == {*found.at_values}


def test_every_lever_beside_ranks_is_measured():
    assert {*LEVERS} == {"rank", "identity", UNITS, *MEASURED}  # units like ranks


def test_a_lever_that_is_not_pulled_is_not_measured():
    found, asked = measured(("rank", "identity"), lambda choice: 0.1)
    assert (found, asked) == ((), [])


def test_each_bit_more_loses_a_quarter():
    (bits,), asked = measured(("bits",), lambda choice: PER_BIT**-choice.bits)
    assert [bits.at(Choice(bits=n)) for n in BITS] == pytest.approx([PER_BIT**-n for n in BITS])
    assert len(asked) == 2


def test_between_measured_shares_of_zeros_losses_go_by_powers_and_never_fall():
    (zeros,), _ = measured(("sparsity",), lambda choice: 100.0 ** (choice.sparsity - 1.0))
    told = [zeros.at(Choice(sparsity=share)) for share in SPARSITIES]
    assert told == pytest.approx([100.0 ** (share - 1.0) for share in SPARSITIES])
    (noisy,), _ = measured(("sparsity",), lambda choice: 1.0 - choice.sparsity)
    told = [noisy.at(Choice(sparsity=share)) for share in SPARSITIES]
    assert told == sorted(told)


def test_at_a_lower_rank_it_loses_as_many_times_as_much_as_was_measured_there():
    def loss(choice):
        return (0.0 if choice.rank is None else 0.5) + choice.sparsity * (1.0 if choice.rank is None else 3.0)

    (zeros,), asked = measured(("rank", "sparsity"), loss)
    assert zeros.at(Choice(rank=8, sparsity=0.7)) == pytest.approx(2.1)
    assert zeros.at(Choice(rank=8)) == 0.0
    assert asked[-2:] == [Choice(rank=32), Choice(rank=32, sparsity=0.7)]  # the highest, which loses least by itself


def test_two_factors_are_never_expected_to_lose_less_than_their_product():
    def loss(choice):
        return 0.5 if choice.rank else PER_BIT**-choice.bits  # few bits seem to lose nothing at a lower rank

    (bits,), _ = measured(("rank", "bits"), loss)
    assert bits.at(Choice(rank=8, bits=3)) == pytest.approx(PER_BIT**-3)


def test_what_is_sparse_already_is_measured_at_more_zeros_alone():
    (zeros,), asked = measured(("sparsity",), lambda choice: choice.sparsity, present=Choice(sparsity=0.8), lower=[])
    assert asked == [Choice(sparsity=0.9)]
    assert zeros.at(Choice(sparsity=0.8)) == 0.0
    assert zeros.at(Choice(rank=8, sparsity=0.9)) == pytest.approx(0.9), "no rank was measured"


def test_zeros_are_measured_without_the_identity_block_that_a_layer_has():
    present = Choice(rank=40, identity=True)
    (zeros,), asked = measured(("rank", "sparsity"), lambda choice: choice.sparsity, present=present)
    assert asked[:3] == [Choice(rank=40, sparsity=share) for share in (0.7, 0.5, 0.9)]
    assert all(form_of(choice) for choice in asked)
    assert zeros.at(Choice(rank=8, sparsity=0.7)) == pytest.approx(0.7)


def test_with_ranks_that_save_nothing_alone_nothing_is_measured_at_a_rank():
    (bits,), asked = measured(("rank", "bits"), lambda choice: 0.1, lower=[])
    assert bits.at(Choice(rank=8, bits=3)) == pytest.approx(0.1)
    assert len(asked) == 2
