from shrinkml.plan.cost import NOTHING, Cost

A, B = Cost(10, 25, 3.0), Cost(4, 4, 0.5)


def test_costs_add_up_figure_by_figure():
    assert Cost(14, 29, 3.5) == A + B
    assert sum([A, B, B], NOTHING) == Cost(18, 33, 4.0)


def test_what_is_taken_away_was_there_before():
    assert (A + B) - B == A
    assert A - A == NOTHING


def test_bytes_do_not_follow_from_parameters():
    assert Cost(100, 50).bytes / Cost(100, 50).parameters != Cost(100, 13).bytes / Cost(100, 13).parameters
