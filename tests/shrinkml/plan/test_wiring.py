import pytest

from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.plan.layer_spec import Feed, LayerSpec
from shrinkml.plan.wiring import UNWIRED, wiring_of

FEED = Feed("ih", 0, 10, 4)
LAYERS = (
    LayerSpec("ih", "lstm_input", 40, 6, follower="hh", gates=4),
    LayerSpec("hh", "lstm_recurrent", 40, 10, gates=4),
    LayerSpec("out", "linear", 5, 23, fed_by=(FEED, FEED._replace(first=13))),
)


@pytest.fixture
def wiring():
    return wiring_of(LAYERS, CompressionPlan())


def test_the_recurrent_matrix_follows_with_its_rows_and_columns_and_consumers_with_their_columns(wiring):
    found = wiring.completed(CompressionPlan({"ih": Choice(outputs=28, bits=8), "out": Choice(rank=3)}))
    assert dict(found) == {
        "ih": Choice(outputs=28, bits=8),
        "hh": Choice(outputs=28, inputs=7, bits=8),
        "out": Choice(rank=3, inputs=23 - 2 * 3),
    }
    assert wiring.completed(found) == found


def test_what_another_plan_left_of_columns_does_not_count(wiring):
    stale = CompressionPlan({"out": Choice(rank=3, inputs=17), "hh": Choice(outputs=28, inputs=7)})
    assert dict(wiring.completed(stale)) == {"out": Choice(rank=3)}


def test_units_that_are_cut_already_are_not_cut_again():
    present = CompressionPlan({"ih": Choice(outputs=28), "hh": Choice(outputs=28, inputs=7), "out": Choice(inputs=17)})
    seven = FEED._replace(units=7)
    layers = (*LAYERS[:2], LayerSpec("out", "linear", 5, 23, fed_by=(seven, seven._replace(first=10))))
    wiring = wiring_of(layers, present)
    assert wiring.completed(present) == present
    assert wiring.completed(CompressionPlan({"ih": Choice(outputs=20)})).choice("out") == Choice(inputs=17 - 2 * 2)


def test_a_model_of_which_nothing_is_cut_needs_no_wiring():
    plan = CompressionPlan({"a": Choice(rank=1)})
    assert UNWIRED.completed(plan) is plan


def test_a_record_that_was_read_from_json_is_the_same():
    assert LayerSpec("out", "linear", 5, 23, fed_by=[["ih", 0, 10, 4]]) == LayerSpec(
        "out", "linear", 5, 23, fed_by=(FEED,)
    )
