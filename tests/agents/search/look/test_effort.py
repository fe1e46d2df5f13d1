from agents.search.look.effort import EFFORTS, SHARE, affordable, measured_ranks

MENU = (*range(1, 24), None)


def n_measured(n_ranks):
    return 2 * len(measured_ranks(MENU, n_ranks))


def test_ranks_are_measured_at_the_nodes_of_a_menu():
    assert measured_ranks(MENU, 2) == [4, 20]
    assert measured_ranks(MENU, 3) == [2, 12, 22]
    assert measured_ranks((4, 8, None), 5) == [4, 8]
    assert measured_ranks((None,), 5) == []


def test_without_a_search_to_compare_with_all_effort_is_made():
    assert affordable(n_measured, None) == EFFORTS[0]


def test_a_look_costs_a_share_of_the_search_where_any_does():
    full = EFFORTS[0].n_heard * n_measured(EFFORTS[0].n_ranks)
    assert affordable(n_measured, int(full / SHARE)) == EFFORTS[0]
    chosen = [affordable(n_measured, searched) for searched in (int(full / SHARE) - 4, 700, 400, 1)]
    costs = [e.n_heard * n_measured(e.n_ranks) for e in chosen]
    assert costs == sorted(costs, reverse=True)
    assert all(cost <= SHARE * searched for cost, searched in zip(costs[:3], (full / SHARE, 700, 400), strict=True))
    assert chosen[-1] == EFFORTS[-1]
