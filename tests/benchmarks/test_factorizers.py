"""What the table of `make bench-factorizers` says."""


def test_a_factorizer_is_chosen_where_it_is_clearly_better_and_judged_by_other_speech(bench):
    cells = [
        bench.Cell(seen={"pca": 1.0, "svd": 0.5, "whitened": 2.0}, on_dev={"pca": 1.0, "svd": 4.0, "whitened": 1.0}),
        bench.Cell(seen={"pca": 1.0, "svd": 0.9, "whitened": 0.8}, on_dev={"pca": 1.0, "svd": 0.5, "whitened": 1.0}),
        bench.Cell(seen={"pca": 1.0, "svd": 0.99, "whitened": 1.0}, on_dev={"pca": 1.0, "svd": 0.5, "whitened": 1.0}),
    ]
    assert [cell.best for cell in cells] == ["svd", "whitened", "pca"]
    svd, whitened, best = bench.table({"las": cells}).splitlines()[2:]
    assert svd == "| las | svd | 3 | 1.00 (0.50 to 2.25) | 2 | 1 |"
    assert whitened == "| las | whitened | 3 | 1.00 (1.00 to 1.00) | 1 | 0 |"
    assert best == "| las | the best | 3 | 1.59 (1.00 to 2.50) |  |  |"


def test_a_model_that_no_rank_hurts_has_a_line_all_the_same(bench):
    assert "| las | svd | 0 | - | 0 | 0 |" in bench.table({"las": []})
