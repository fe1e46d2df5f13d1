import pytest

from shrinkml.activations.activation_spec import BITS, SCALE_KINDS, ActivationSpec
from shrinkml.errors import PlanError


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("scales", SCALE_KINDS)
def test_it_is_read_as_it_was_written(bits, scales):
    spec = ActivationSpec(bits, scales)
    assert ActivationSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("bits", [5, 16, None, True, "8"])
def test_other_bits_are_refused(bits):
    with pytest.raises(PlanError, match=r"bits; allowed: 8, 6, 4"):
        ActivationSpec(bits)


def test_other_scales_are_refused():
    with pytest.raises(PlanError, match="'round'; allowed: float, power_of_two, multiplier"):
        ActivationSpec(8, "round")


@pytest.mark.parametrize("value", [8, {"bits": 8, "signed": True}])
def test_json_of_something_else_is_refused(value):
    with pytest.raises(PlanError, match="allowed: an object of bits and scales"):
        ActivationSpec.from_json(value)
