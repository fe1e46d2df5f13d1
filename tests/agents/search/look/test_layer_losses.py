import math

import pytest
import torch

import shrinkml
from agents.search.look.effort import measured_ranks
from agents.search.look.forced_scores import ForcedScores
from agents.search.look.layer_losses import LayerLosses, by_rank, layer_losses, menu_of, n_measured
from agents.search.look.lever_losses import MEASURED, PER_BIT
from agents.search.look.recalled_losses import RecalledLosses
from agents.search.model_evaluator import shrunk
from envs.levers import BITS, LEVERS, pulled
from envs.menus import build_menus
from envs.rank_options import as_choices
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.models.heads import transcript_head
from shrinkml.models.own_model import OwnModel
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import LayerSpec
from shrinkml.speech.manifest import read_manifest
from shrinkml.training.dataset import Dataset, load_dataset

N_RANKS = 4


def falls(layer, rank):
    return 1.0 / rank


def measured_by(model, cut, menus, speech):
    measured = RecalledLosses(lambda: ForcedScores(model, cut, speech))
    return layer_losses(measured, as_choices(menus), falls, n_ranks=N_RANKS)


@pytest.fixture(scope="module")
def model(tiny_model_dir):
    return shrinkml.load(tiny_model_dir)


@pytest.fixture(scope="module")
def speech(model, tiny_data):
    return load_dataset(model, read_manifest(tiny_data["dev"]))


@pytest.fixture(scope="module")
def menus(model):
    return build_menus(find_layers(model.module), current_ranks=CompressionPlan())


@pytest.fixture(scope="module")
def cut(model):
    decompositions = decompose(model.module)
    return lambda plan: shrunk(model, plan, decompositions)


@pytest.fixture(scope="module")
def losses(model, cut, menus, speech):
    return measured_by(model, cut, menus, speech)


@pytest.fixture(scope="module")
def told(losses):
    return losses.curves


def posteriors(model, speech, i):
    with torch.no_grad():
        (row,) = transcript_head(model.teacher_forced([speech.features[i]], [speech.texts[i]])).rows()
    return row.double().log_softmax(-1)


def test_it_is_the_divergence_of_the_posteriors_per_token_at_measured_ranks(model, cut, menus, speech, told):
    layer = "encoder.0.weight_ih_l0"
    for rank in measured_ranks(menus[layer], N_RANKS):
        total, n_tokens = 0.0, 0
        for i in range(len(speech)):
            before, after = (
                posteriors(model, speech, i),
                posteriors(cut(CompressionPlan.of_ranks({layer: rank})), speech, i),
            )
            total += float((before.exp() * (before - after)).sum())
            n_tokens += len(before)
        assert told[layer][rank] == pytest.approx(total / n_tokens, rel=1e-3)


def test_an_utterance_has_as_many_tokens_as_the_decoder_is_asked_for(model, speech, losses):
    n_tokens = sum(len(posteriors(model, speech, i)) for i in range(len(speech)))
    assert losses.tokens_per_utterance == pytest.approx(n_tokens / len(speech))


def test_every_layer_is_told_of_up_to_its_highest_rank_and_never_more_for_more(menus, told):
    assert set(told) == set(menus)
    for layer, row in told.items():
        assert len(row) == max(rank for rank in menus[layer] if rank is not None) + 1
        assert list(row) == sorted(row, reverse=True)
        assert all(math.isfinite(value) and value >= 0 for value in row)


def test_what_transcripts_are_not_read_from_costs_nothing(told):
    assert {layer for layer, row in told.items() if row[0] == 0.0} == {"ctc.weight"}


def test_a_module_without_scores_tells_nothing(speech):
    own = OwnModel(torch.nn.Linear(2, 2), lambda m, f, t: m(torch.ones(1, 2)).sum(), lambda m, f: ["" for _ in f])
    assert measured_by(own, lambda plan: own, {"weight": (1, None)}, speech) is None


def told_by(scores, cut_bias=None):
    """What a linear module tells of itself by `scores`; cut, its bias is `cut_bias` where that is given."""
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 6)
    own = OwnModel(module, lambda m, f, t: m(f[0]).sum(), lambda m, f: ["" for _ in f], scores)
    decompositions = decompose(module)

    def cut(plan):
        small = factorize(module, plan, decompositions)
        if cut_bias is not None:
            torch.nn.init.constant_(small.bias, cut_bias)
        return own.with_module(small)

    heard = Dataset([torch.randn(5, 4) for _ in range(3)], ["a"] * 3, [0.0] * 3, [None] * 3)
    return measured_by(own, cut, {"weight": (1, 2, None)}, heard).curves["weight"]


def logits(module, features, texts):
    return torch.stack([module(one) for one in features])[..., 1:], torch.tensor([len(one) for one in features])


def test_a_token_that_can_never_be_written_changes_nothing():
    def masked(module, features, texts):
        scores, counts = logits(module, features, texts)
        return torch.nn.functional.pad(scores, (1, 0), value=-math.inf), counts

    assert min(told_by(logits)) > 0
    assert told_by(masked) == pytest.approx(told_by(logits))


def test_scores_that_are_no_numbers_are_not_taken_for_harmless():
    assert min(told_by(logits, cut_bias=math.nan)) > 1000


LAYER = LayerSpec("layer", "linear", 64, 96)


class ByRule:
    """Losses of one layer: a quarter for each bit, a power of zeros, more of both in two factors, and of the rank."""

    tells, tokens_per_utterance = True, 5.0

    def __init__(self):
        self.asked = []

    def divergence(self, plan):
        choice = plan.choice("layer")
        self.asked.append(choice)
        return self.by_rank(choice) + self.by_bits(choice) + self.by_zeros(choice)

    def by_rank(self, choice):
        return 0.0 if choice.rank is None else 1.0 / choice.rank

    def by_bits(self, choice):
        factors = 1.0 if choice.rank is None else 5.0 if choice.identity else 3.0
        return 0.0 if choice.bits is None else factors * PER_BIT**-choice.bits

    def by_zeros(self, choice):
        factors = 1.0 if choice.rank is None else 2.0
        return factors * 0.01 * 10.0 ** (5.0 * (choice.sparsity - 1.0)) if choice.sparsity else 0.0


@pytest.fixture(scope="module")
def rule():
    return ByRule()


@pytest.fixture(scope="module")
def joint(rule):
    return layer_losses(RecalledLosses(lambda: rule), {"layer": pulled(LAYER, DENSE, tuple(LEVERS))}, falls, n_ranks=99)


RANKS = {"layer": (*(Choice(rank=rank) for rank in (1, 2, 3, 4, 6, 8, 12, 16)), DENSE)}


class TestOfFewMeasuredRanks:
    """The energy that ranks leave out ends at a rank, as a spectrum does."""

    @staticmethod
    def left_out(layer, rank):
        return {1: 0.5, 2: 0.3, 3: 0.2, 4: 0.15, 6: 0.1, 8: 0.06, 12: 0.004, 16: 0.0}[rank]

    def looked(self, power):
        class ByEnergy(ByRule):
            def by_rank(self, choice):
                return 3.0 * TestOfFewMeasuredRanks.left_out("layer", choice.rank) ** power

        rule = ByEnergy()
        found = layer_losses(RecalledLosses(lambda: rule), RANKS, self.left_out, n_ranks=2)
        return rule, found

    @pytest.mark.parametrize("power", [0.5, 1.0, 1.5])
    def test_the_others_lose_by_the_power_of_the_energy_left_out_that_fits(self, power):
        rule, found = self.looked(power)
        assert [choice.rank for choice in rule.asked] == [2, 12]
        for choice in RANKS["layer"][:7]:
            assert found.at("layer", choice) == pytest.approx(rule.by_rank(choice), rel=1e-3)
        assert found.at("layer", Choice(rank=16)) < found.at("layer", Choice(rank=12)) / 10

    def test_one_alone_is_followed_in_proportion(self):
        rule = ByRule()
        found = layer_losses(RecalledLosses(lambda: rule), RANKS, self.left_out, n_ranks=1)
        assert [choice.rank for choice in rule.asked] == [4]
        assert found.at("layer", Choice(rank=2)) == pytest.approx(2 * rule.by_rank(Choice(rank=4)))


class TestOfSeveralLevers:
    def test_every_combination_is_expected_to_lose_what_its_levers_do(self, joint, rule):
        for choice in pulled(LAYER, DENSE, tuple(LEVERS)):
            expected = rule.by_rank(choice) + rule.by_bits(choice) + rule.by_zeros(choice)
            assert joint.at("layer", choice) == pytest.approx(expected, rel=0.02)

    def test_few_losses_are_measured(self, joint, rule):
        choices = pulled(LAYER, DENSE, tuple(LEVERS))
        assert len(rule.asked) == n_measured(choices, 99) < len(choices) / 3
        assert {choice.bits for choice in rule.asked} == {None, *MEASURED["bits"].values}
        assert {choice.sparsity for choice in rule.asked} == {0.0, *MEASURED["sparsity"].values}

    def test_the_menu_holds_ranks_that_are_lowered_alone(self):
        choices = pulled(LAYER, DENSE, tuple(LEVERS))
        ranks = build_menus([LAYER], current_ranks=CompressionPlan())["layer"]
        assert menu_of(pulled(LAYER, DENSE, ("rank", "bits"))) == ranks
        assert {*ranks} < {*menu_of(choices)}
        assert [choice.identity for choice in by_rank(choices).values()] == [
            rank not in ranks for rank in menu_of(choices)[:-1]
        ]
        assert n_measured(pulled(LAYER, DENSE, ("rank", "identity")), 99) == len(menu_of(choices)) - 1
        assert n_measured(pulled(LAYER, DENSE, ("bits",)), 99) == len(MEASURED["bits"].values)

    def test_what_is_rounded_already_loses_nothing_by_its_own_bits(self):
        present = Choice(rank=16, bits=4)
        rule = ByRule()
        choices = pulled(LAYER, present, tuple(LEVERS))
        losses = layer_losses(RecalledLosses(lambda: rule), {"layer": choices}, falls, n_ranks=99)
        lower = Choice(rank=8, bits=4)
        assert losses.at("layer", lower) == pytest.approx(rule.divergence(CompressionPlan({"layer": lower})))
        assert losses.at("layer", Choice(rank=16, bits=3)) > losses.at("layer", present)

    def test_all_losses_of_a_layer_are_raised_together(self, joint):
        raised = LayerLosses(joint.curves, 5.0, joint.others, {"layer": 2.0})
        for choice in (Choice(bits=BITS[-1]), Choice(rank=8), Choice(rank=8, bits=4, identity=True)):
            assert raised.at("layer", choice) == 2.0 * joint.at("layer", choice)
