import pytest

from shrinkml.errors import ConfigError
from shrinkml.models.transformer.transformer_shape import TransformerConfig


def test_a_shape_survives_json():
    shape = TransformerConfig(hidden=64, reductions=(2, 1), shared=((0, 1), (2, 3)), encoder_positions=False)
    assert TransformerConfig.from_json(shape.to_json()) == shape


def test_a_place_in_a_group_has_the_layer_of_its_first():
    assert TransformerConfig(encoder_layers=4).encoder_places == (0, 1, 2, 3)
    assert TransformerConfig(encoder_layers=6, shared=((1, 2), (5, 3))).encoder_places == (0, 1, 1, 3, 4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 0}, "hidden is 0; allowed: 1 or more"),
        ({"encoder_layers": 0}, "encoder_layers is 0; allowed: 1 or more"),
        ({"hidden": 126}, r"hidden is 126; allowed: even multiples of heads \(4\)"),
        ({"hidden": 5, "heads": 5}, r"hidden is 5; allowed: even multiples of heads \(5\)"),
        ({"memory": -1}, "memory is -1; allowed: 0 or more"),
        ({"memory": 10}, "memory is 10; allowed: 0, or an odd number of steps"),
        ({"reductions": [3]}, r"reductions is \[3\]; allowed: a 1 or 2 for each convolution layer"),
        ({"encoder_layers": 4, "shared": [[0, 4]]}, r"shared is \[\[0, 4\]\]; allowed: groups of layers from 0 to 3"),
        ({"shared": [[0, 1], [1, 2]]}, "each layer in one group at most"),
        ({"shared": [[3, 3]]}, "each layer in one group at most"),
        ({"shared": [0, 1]}, "no Transformer has this shape"),
        ({"units": 5}, "no Transformer has this shape"),
    ],
)
def test_an_impossible_shape_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        TransformerConfig.from_json(change)
