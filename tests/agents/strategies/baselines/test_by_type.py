import dataclasses
from collections import defaultdict

import pytest

from agents.strategies.baselines.by_type import kept_shares
from envs.toys import recogniser, separable


def by_kind(search, values):
    found = defaultdict(list)
    for layer, value in zip(search.problem.decisions, values, strict=True):
        found[layer.kind].append(value)
    return found


def scaled(toy, factor):
    """`toy`, its matrices times `factor` of their name."""

    def of(decision):
        options = decision.options
        if not factor(decision.name):  # of a matrix of zeros everything is kept at any rank
            options = tuple(dataclasses.replace(option, retained_energy=1.0) for option in options)
        return dataclasses.replace(decision, energy=decision.energy * factor(decision.name) ** 2, options=options)

    return dataclasses.replace(
        toy, problem=dataclasses.replace(toy.problem, decisions=tuple(map(of, toy.problem.decisions)))
    )


def test_the_mean_share_of_a_kind_is_one(make_search):
    search = make_search(recogniser())
    for shares in by_kind(search, kept_shares(search)).values():
        assert sum(shares) / len(shares) == pytest.approx(1.0)


def test_the_scale_of_all_weights_does_not_matter(make_search):
    toy = recogniser()
    smaller = scaled(toy, lambda name: 1e-4)
    assert kept_shares(make_search(smaller)) == pytest.approx(kept_shares(make_search(toy)))


def test_a_layer_of_larger_weights_keeps_more_than_another_of_its_kind(make_search):
    toy = separable()
    larger = scaled(toy, lambda name: 10.0 if name == "layer3" else 1.0)
    before, after = (kept_shares(make_search(t)) for t in (toy, larger))
    assert after[3] > before[3]
    assert all(after[layer] < before[layer] for layer in (0, 1, 2, 4, 5))


@pytest.mark.parametrize("zeros", [{"layer0"}, {f"layer{i}" for i in range(6)}])
def test_layers_of_zeros_get_a_share_above_zero(make_search, zeros):
    toy = scaled(separable(), lambda name: 0.0 if name in zeros else 1.0)
    shares = kept_shares(make_search(toy))
    assert all(share > 0.0 for share in shares)
    assert sum(shares) == pytest.approx(6.0)
