import numpy as np
import pytest

from agents.strategies.model_based import kept_policy
from agents.strategies.model_based.kept_policy import FIRST_KINDS, SHAPES, as_policy, read_policy, write_policy
from shrinkml.errors import ConfigError


@pytest.fixture
def old():
    """A policy as it was kept before kinds had names."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).tolist() for name, shape in SHAPES.items()}


def test_a_policy_without_names_is_of_the_first_four_kinds(old):
    assert as_policy(old) == old | {"kinds": list(FIRST_KINDS)}


def test_a_policy_is_read_after_a_fifth_kind_was_added_which_then_weighs_nothing(old, monkeypatch):
    known = as_policy(old)
    rows, columns = SHAPES["hidden.weight"]
    monkeypatch.setattr(kept_policy, "KINDS", ("module", *FIRST_KINDS))
    monkeypatch.setattr(kept_policy, "SHAPES", SHAPES | {"hidden.weight": (rows, columns + 1)})
    for policy in (old, known):
        weights = np.array(as_policy(policy)["hidden.weight"])
        assert weights.shape == (rows, columns + 1)
        assert not weights[:, 0].any()
        assert weights[:, 1:].tolist() == old["hidden.weight"]


def test_kinds_that_are_no_names_are_refused(old):
    with pytest.raises(ConfigError, match="kinds of a policy is 'linear'; allowed: a list of names"):
        as_policy(old | {"kinds": "linear"})


def test_what_is_written_is_read_with_its_kinds(old, tmp_path):
    write_policy(as_policy(old), tmp_path / "policy.json")
    assert read_policy(tmp_path / "policy.json") == as_policy(old)
