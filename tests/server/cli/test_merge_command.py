"""The merge command; what it writes is tested in tests/shrinkml/storage/test_merging.py."""


def test_merge_refuses_what_transformers_could_not_open(shrinkml, tmp_path):
    code, _, err = shrinkml("merge", "reference/las", "--out", tmp_path / "dense")
    assert (code, err.startswith("error: ")) == (2, True)
    assert not (tmp_path / "dense").exists()
