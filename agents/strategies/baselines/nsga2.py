"""NSGA-II: a population that spreads over the front of WER and price (Deb et al. 2002), as Optuna's NSGAIISampler.

It looks for the whole front below the budget, so its plans need not use the budget up, and at the budget itself it is
slower than the strategies that look there alone.
"""

from agents.search.search import Search
from envs.projection import lowered_to_budget

POPULATION = 20  # plans per generation: ten generations in 200 evaluations


def nsga2(search: Search) -> None:
    """Crosses and mutates the plans that no other beats in WER and price; see `agents.search.search.Strategy`."""
    # Imported here, so that the table of strategies loads without Optuna.
    from optuna.samplers import NSGAIISampler

    from agents.strategies.baselines.studies import sample_plans

    sampler = NSGAIISampler(population_size=POPULATION, seed=search.seed)
    price = search.problem.prices.price
    sample_plans(search, sampler, within=lowered_to_budget, objectives=lambda plan, wer: (wer, float(price(plan))))
