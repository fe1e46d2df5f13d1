from dataclasses import dataclass

import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.trainable.trainable_shape import TrainableShape


@dataclass(frozen=True, slots=True)
class Shape(TrainableShape):
    units: int = 4
    reductions: tuple[int, ...] = (1, 2)
    groups: tuple[tuple[int, ...], ...] = ()

    called = "toy"

    def __post_init__(self) -> None:
        self._refuse_below(1, ("units",))
        self._refuse_reductions(self.reductions, "toy")


def test_a_shape_survives_json():
    shape = Shape(units=3, reductions=(2, 2))
    assert shape.to_json() == {"units": 3, "reductions": [2, 2], "groups": []}
    assert Shape.from_json(shape.to_json()) == shape
    assert Shape.from_json({}) == Shape()


def test_groups_are_lists_of_lists_in_json():
    shape = Shape(groups=((0, 1), (2, 3)))
    assert shape.to_json()["groups"] == [[0, 1], [2, 3]]
    assert Shape.from_json(shape.to_json()) == shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": 0}, "units is 0; allowed: 1 or more"),
        ({"reductions": [3]}, r"reductions is \[3\]; allowed: a 1 or 2 for each toy layer"),
        ({"reductions": []}, r"reductions is \[\]; allowed"),
        ({"reductions": 2}, "no toy has this shape"),
        ({"layers": 5}, "no toy has this shape"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        Shape.from_json(change)
