"""What the table of `make bench-look` says."""

import pytest

RANKS = (1, 2, 3, 4, 6, 8, 12, 16)
LEFT_OUT = {rank: 0.5**rank for rank in RANKS}
BY_ENERGY = {rank: 2.0 * LEFT_OUT[rank] for rank in RANKS}


def test_losses_that_go_by_the_energy_left_out_are_foretold(bench):
    assert bench.factor(bench.Known(BY_ENERGY, 3.0), LEFT_OUT, 2) == pytest.approx(1.0, abs=1e-6)


def test_losses_that_do_not_count_by_how_far_they_are_from_that(bench):
    bent = {**BY_ENERGY, 6: 3.0 * BY_ENERGY[6], 8: 3.0 * BY_ENERGY[8]}  # beside those of 1, 3 and 4
    assert bench.factor(bench.Known(bent, 3.0), LEFT_OUT, 2) == pytest.approx(3.0 ** (2 / 5), rel=0.02)


def test_where_all_that_matters_is_measured_nothing_is_told(bench):
    assert bench.factor(bench.Known(BY_ENERGY, 3.0), LEFT_OUT, 8) is None


def test_the_table_has_a_line_for_each_number_of_ranks(bench):
    lines = bench.table([(bench.Known(BY_ENERGY, 3.0), LEFT_OUT)], [2, 8]).splitlines()
    assert lines[2:] == ["| 2 | 1 | 1.00 | 1.00 |", "| 8 | 0 |"]
