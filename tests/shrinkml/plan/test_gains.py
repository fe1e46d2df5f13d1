from typing import get_args

from shrinkml.plan.gains import GAINS, UNASKED
from shrinkml.plan.prices import Resource


def test_every_resource_is_saved_by_some_lever_and_ranks_save_them_all():
    assert set(GAINS) == set(get_args(Resource))
    assert all("rank" in levers for levers in GAINS.values())


def test_few_bits_save_bytes_alone_and_zeros_no_products_either():
    assert [resource for resource, levers in GAINS.items() if "bits" in levers] == ["bytes"]
    assert {resource for resource, levers in GAINS.items() if "sparsity" in levers} == {"parameters", "bytes"}


def test_what_is_pulled_unasked_may_be_asked_for():
    assert set(UNASKED) == set(GAINS)
    assert all({*UNASKED[resource]} <= {*levers} for resource, levers in GAINS.items())
