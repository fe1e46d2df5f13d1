"""What the tables of `make bench-search` say of its rows."""

import pytest

OLD = {"ratio": 8.0, "evaluations": 3, "seed": 1, "dev_wer": 0.02, "test_wer": 0.0, "own_seconds": 4.0}
NEW = {**OLD, "proxy_wers": [None, 0.5, 0.25], "sizes": [0.9, 0.1, 0.125]}


def test_the_hypervolume_is_the_area_under_which_no_plan_of_the_front_lies(bench):
    front = [(0.5, 0.2), (0.2, 0.6)]
    by_hand = 0.8 * 0.4 + 0.5 * 0.4
    assert bench.hypervolume(front) == pytest.approx(by_hand)
    assert bench.hypervolume([*front, (0.5, 0.7), (0.6, 0.2), (1.5, 0.0), (0.1, 1.2)]) == pytest.approx(by_hand)
    assert bench.hypervolume([]) == 0.0


def test_rows_older_than_a_column_leave_it_empty_and_plans_over_the_budget_are_not_of_the_front(bench):
    *_, old, new = bench.table([{**OLD, "strategy": "random"}, {**NEW, "strategy": "evolution"}]).splitlines()
    assert "| random | 1 | 2.00 | 0.00 | - | 4 |" in old
    assert "| evolution | 1 | 2.00 | 0.00 | 66.88 | 4 |" in new, "0.9 * 0.5 + 0.875 * 0.25"
    page = bench.progress([{**OLD, "strategy": "random"}, {**NEW, "strategy": "evolution"}])
    assert '"evolution"' in page
    assert '"random"' not in page


def test_a_reward_is_named_where_it_is_not_what_jobs_take(bench):
    rows = [{**OLD, "strategy": "ppo"}, {**OLD, "strategy": "ppo", "reward": bench.REWARD}]
    (line,) = bench.table(rows).splitlines()[2:]
    assert "| ppo | 2 |" in line
    assert "| ppo (harmonic) | 1 |" in bench.table([{**OLD, "strategy": "ppo", "reward": "harmonic"}])


def test_a_search_without_errors_is_compared_as_well(bench):
    rows = [{**OLD, "strategy": bench.OURS}, {**OLD, "strategy": "ppo"}]
    assert "| ppo | 1 | 1.00 | 1.00 | 0 |" in bench.against(rows)
    rows[0]["test_wer"] = 0.01
    assert "| ppo | 1 | 1.00 | inf | 0 |" in bench.against(rows)
