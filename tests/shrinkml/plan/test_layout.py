from shrinkml.plan.choice import DENSE, DROPPED, Choice
from shrinkml.plan.layout import GROUP, Lines, group_length, index_bytes, lines_of, n_kept, n_scales, stored_lines


def test_a_dense_matrix_is_its_rows_and_factors_are_directions():
    assert lines_of(DENSE, 30, 20) == (Lines(30, 20),)
    assert lines_of(Choice(rank=3, bits=4), 30, 20) == (Lines(3, 30), Lines(3, 20))
    assert lines_of(DROPPED, 30, 20) == ()


def test_an_identity_block_takes_no_lines_but_a_bit_for_each_row():
    assert lines_of(Choice(rank=3, identity=True), 30, 20) == (Lines(3, 27), Lines(3, 20))
    assert index_bytes(Choice(rank=3, identity=True), 30, 20) == 4
    assert index_bytes(Choice(rank=3), 30, 20) == 0


def test_of_a_sparse_matrix_as_many_weights_of_each_line_are_stored_and_a_bit_for_each_place():
    assert [n_kept(length, 0.7) for length in (30, 20, 1)] == [9, 6, 1]
    assert stored_lines(Choice(sparsity=0.7), 30, 20) == (Lines(30, 6),)
    assert stored_lines(Choice(rank=3, sparsity=0.7), 30, 20) == (Lines(3, 9), Lines(3, 6))
    assert stored_lines(DENSE, 30, 20) == lines_of(Choice(sparsity=0.7), 30, 20) == lines_of(DENSE, 30, 20)
    assert index_bytes(Choice(sparsity=0.7), 30, 20) == 30 * 20 // 8
    assert index_bytes(Choice(rank=3, sparsity=0.7), 30, 20) == 12 + 8, "of each factor whole bytes"


def test_weights_of_eight_bits_share_a_scale_along_the_line_and_fewer_bits_in_groups():
    assert group_length(1000, 8) == 1000
    assert [group_length(length, 4) for length in (1000, GROUP, 20)] == [GROUP, GROUP, 20]
    assert n_scales(Lines(5, 1000), 8) == 5
    assert n_scales(Lines(5, 2 * GROUP + 1), 4) == 15


def test_weights_in_floating_point_need_no_scale():
    assert n_scales(Lines(5, 1000), 16) == n_scales(Lines(5, 1000), 32) == 0
