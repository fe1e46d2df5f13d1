"""What is measured of layers alone takes ranks off their menus, but none of a plan that could be the best."""

import dataclasses

import pytest
import torch

from agents.search.look.layer_losses import LayerLosses
from agents.search.look.lever_losses import LeverLosses
from agents.search.make_problem import HARMLESS, on_the_front, problem_of, with_losses
from agents.strategies.strategies import STRATEGIES
from envs import problem_json
from envs.budget import Budget
from envs.levers import BITS, SPARSITIES
from envs.rank_options import rank_menus
from envs.toys import recogniser, separable
from shrinkml.compression.calibration import calibrate
from shrinkml.compression.dropping.residual_branches import find_residual_branches
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, model_cost
from shrinkml.compression.units import decompose_units
from shrinkml.plan.choice import DENSE, Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.gains import GAINS
from shrinkml.plan.prices import byte_prices, parameter_prices
from shrinkml.plan.site_prices import LEAST
from tests.agents.toy_search import search, telling


def cut(toy):
    """The toy's problem, told everything, and what is left of it."""
    told = telling(toy).problem
    curves = {}
    for decision in told.decisions:
        known = [(option.choice.rank, option.expected_loss) for option in decision.options[:-1]]
        curves[decision.name] = tuple(
            next((loss for at, loss in known if at >= rank), 0.0) for rank in range(known[-1][0] + 2)
        )
    return told, with_losses(toy.problem, LayerLosses(curves, 1.0))


def n_options(problem):
    return sum(len(decision.options) for decision in problem.decisions)


def constant(problem, loss, tokens_per_utterance=1.0):
    """Every layer alone loses `loss(rank)`."""
    curve = tuple(map(loss, range(999)))
    return LayerLosses(dict.fromkeys((it.name for it in problem.decisions), curve), tokens_per_utterance)


def test_where_losses_add_up_a_search_of_what_is_left_reaches_the_best_plan_of_all():
    toy = separable()
    whole, problem = cut(toy)
    assert n_options(problem) < n_options(whole)
    best = search("divergence", dataclasses.replace(toy, problem=whole), evaluations=1).best.plan
    assert best == search("divergence", dataclasses.replace(toy, problem=problem), evaluations=1).best.plan
    assert toy.evaluate(best) == pytest.approx(toy.evaluate(toy.best_plan()))


@pytest.mark.parametrize("ratio", [1.1, 3.0, 20.0])
def test_ranks_are_on_a_menu_or_cut_and_the_budget_stays_within_reach(ratio):
    whole, problem = cut(recogniser(ratio))
    budget = Budget.of(problem)
    assert budget.spent(budget.cheapest) <= budget.limit
    for before, after in zip(whole.decisions, problem.decisions, strict=True):
        assert after.whole == before
        assert after.choices[-1] == before.choices[-1], "the layer as it is"
        assert not set(after.options) & set(after.left_out)


def test_ranks_that_hardly_do_anything_stay_however_little_the_best_plan_does():
    toy = recogniser(1.01)
    for tokens in (1.0, 20.0):
        losses = constant(toy.problem, lambda rank, n=tokens: HARMLESS / n / (rank + 2), tokens)
        assert rank_menus(with_losses(toy.problem, losses)) == rank_menus(toy.problem)


def test_a_model_that_tells_no_scores_keeps_its_menus_whole():
    problem = recogniser().problem
    assert with_losses(problem, None) == problem


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_menus_of_one_entry_are_searched_too(strategy):
    toy = separable()
    whole = dataclasses.replace(toy.problem, compression_ratio=1.0)
    problem = with_losses(whole, constant(whole, lambda rank: 9.0))
    assert {len(decision.options) for decision in problem.decisions} == {1}
    (trial,) = search(
        strategy, dataclasses.replace(toy, problem=problem, word_losses=((0.0,),) * 6), evaluations=5
    ).trials
    assert not trial.plan.ranks


class Residual(torch.nn.Module):
    """Two layers that are added to what they take, and one behind them."""

    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = torch.nn.LayerNorm(48), torch.nn.Linear(48, 64), torch.nn.Linear(64, 48)
        self.out = torch.nn.Linear(48, 8)

    def forward(self, x):
        return self.out(x + self.down(self.up(self.norm(x)).relu()))


class TestOfModulesThatMayBeDropped:
    DROPPED = Choice(dropped=True, removes=("norm", "up"))

    @pytest.fixture
    def module(self):
        torch.manual_seed(0)
        return Residual().eval()

    def problem(self, module, levers, ratio=1.5):
        branches = find_residual_branches(module, lambda: module(torch.randn(2, 5, 48)))
        prices = parameter_prices(model_cost(module, branches=branches), current_plan(module))
        return problem_of(
            module,
            decompose(module),
            prices=prices,
            ratio=ratio,
            baseline_wer=0.0,
            levers=levers,
            branches=branches,
        )

    def test_one_is_a_decision_before_those_of_its_layers_which_cost_nothing_without_it(self, module):
        posed = self.problem(module, ("rank", "drop"))
        assert [it.name for it in posed.decisions] == ["down", "up.weight", "down.weight", "out.weight"]
        assert [it.parent for it in posed.decisions] == [None, "down", "down", None]
        assert posed.decisions[0].choices == (self.DROPPED, DENSE)
        for plan in (CompressionPlan({"down": self.DROPPED}), CompressionPlan({"up.weight": Choice(rank=8)})):
            small = factorize(module, plan, decompose(module))
            assert posed.cost(plan).parameters == sum(it.numel() for it in small.parameters())
            assert 0 <= posed.prices.price(plan) - posed.cost(plan).parameters <= LEAST
        assert posed.retained_energies[0] == (0.0, 1.0)

    def test_dropping_alone_leaves_matrices_as_they_are(self, module):
        posed = self.problem(module, ("drop",))
        assert [len(it.options) for it in posed.decisions] == [2, 1, 1, 1]
        assert dict(Budget.of(posed).plan([0] * 4)) == {"down": self.DROPPED}

    def test_what_is_dropped_stays_so_in_the_next_search(self, module):
        plan = CompressionPlan({"down": self.DROPPED, "out.weight": Choice(rank=4)})
        small = factorize(module, plan, decompose(module))
        prices = self.problem(module, ("rank", "drop")).prices
        levers = "rank", "drop"
        posed = problem_of(small, decompose(small), prices=prices, ratio=1.01, baseline_wer=0.0, levers=levers)
        gone, out = sorted(posed.decisions, key=lambda it: it.name)
        assert gone.choices == (self.DROPPED,)
        at = {gone.name: 0, out.name: len(out.options) - 1}
        plan = Budget.of(posed).plan([at[it.name] for it in posed.decisions])
        assert plan == current_plan(small)
        assert prices.price(plan) == sum(it.numel() for it in small.parameters()) + LEAST

    def test_what_dropping_loses_is_told_to_the_problem(self, module):
        curves = dict.fromkeys(("up.weight", "down.weight", "out.weight", "down"), (1.0,) * 2)
        losses = LayerLosses(curves, 1.0, dropped={"down": 0.25}, times={"down": 2.0})
        assert losses.at("down", self.DROPPED) == 0.5
        assert losses.at("down", DENSE) == 0.0


class TestOfSeveralLevers:
    @pytest.fixture
    def posed(self):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.Linear(64, 32))
        cost = model_cost(module)
        prices = byte_prices(cost, cost.cost(CompressionPlan()).bytes)
        return problem_of(
            module,
            decompose(module),
            prices=prices,
            ratio=2.0,
            baseline_wer=0.0,
            levers=GAINS["bytes"],
            left=("1.weight",),
        )

    def test_every_combination_that_saves_bytes_is_an_option_and_left_layers_have_one(self, posed):
        first, left = posed.decisions
        assert left.choices == (DENSE,)
        assert {Choice(bits=8), Choice(rank=8, bits=3), Choice(rank=8, identity=True)} < {*first.choices}
        assert posed.cost(CompressionPlan({"0.weight": Choice(bits=4)})).bytes == posed.prices.price(
            CompressionPlan({"0.weight": Choice(bits=4)})
        )

    def test_told_their_losses_a_few_are_left_of_which_each_loses_less_than_all_cheaper_ones(self, posed):
        curve = tuple(4.0 / (1 + rank) for rank in range(49))
        bits = LeverLosses("bits", DENSE, {bits: 4.0**-bits for bits in BITS}, {False: 2.0, True: 3.0})
        zeros = LeverLosses("sparsity", DENSE, {share: share**6 for share in SPARSITIES}, {False: 2.0})
        losses = LayerLosses({"0.weight": curve, "1.weight": (0.0,)}, 5.0, {"0.weight": (bits, zeros)})
        first, _ = with_losses(posed, losses).decisions
        expected = [option.expected_loss for option in first.options]
        assert expected == sorted(expected, reverse=True)
        assert expected[-1] == 0.0
        assert 2 < len(first.whole.options) < len(posed.decisions[0].options) / 4

    def test_where_nothing_is_told_the_front_is_one_of_energy(self, posed):
        first, left = on_the_front(posed).decisions
        energies = [option.retained_energy for option in first.options]
        assert energies == sorted(energies)
        assert left == posed.decisions[1]


PAIRS = {"0.weight": "2.weight"}


class TestOfUnits:
    @pytest.fixture
    def module(self):
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.ReLU(), torch.nn.Linear(64, 32))

    @pytest.fixture
    def problem(self, module):
        x = torch.randn(200, 48)
        decompositions = dict(decompose_units(module, PAIRS, calibrate(module, lambda: module(x))))
        prices = parameter_prices(model_cost(module))
        return problem_of(
            module,
            decompositions,
            prices=prices,
            ratio=2.0,
            baseline_wer=0.0,
            levers=("rank", "units"),
            pairs=PAIRS,
        )

    def test_a_pair_is_one_decision_that_costs_what_both_matrices_do(self, problem, module):
        (decision,) = problem.decisions
        assert (decision.name, decision.follower) == ("0.weight", "2.weight")
        for option in decision.options:
            choice = option.choice
            plan = CompressionPlan({"0.weight": choice, "2.weight": choice.following})
            assert problem.prices.price(plan) == problem.other.parameters + option.price
            assert problem.cost(plan) == model_cost(module).cost(plan)

    def test_plans_name_both(self, problem):
        budget = Budget.of(problem)
        plan = budget.plan(budget.cheapest)
        assert {name for name, _ in plan} == {"0.weight", "2.weight"}
        assert plan.choice("2.weight") == plan.choice("0.weight").following
        assert budget.entries(plan) == budget.cheapest
        assert problem.admits(plan)

    def test_more_units_keep_more_of_the_energy(self, problem):
        energies = [option.retained_energy for option in problem.decisions[0].options]
        assert energies == sorted(energies)
        assert energies[-1] == 1.0
        assert energies[0] < 0.9

    def test_its_json_comes_back(self, problem):
        assert problem_json.from_json(problem_json.to_json(problem)) == problem

    @pytest.mark.usefixtures("evolving_little")
    @pytest.mark.parametrize("strategy", STRATEGIES)
    def test_every_strategy_searches_them(self, strategy, problem):
        toy = dataclasses.replace(
            separable(), problem=problem, word_losses=((0.0,) * len(problem.decisions[0].options),)
        )
        for trial in search(strategy, toy, evaluations=1 if strategy == "dyna" else 3).trials:
            assert problem.admits(trial.plan)
            assert trial.plan.choice("2.weight") == trial.plan.choice("0.weight").following
