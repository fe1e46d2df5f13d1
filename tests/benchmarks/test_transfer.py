"""What the table of `make bench-transfer` says of its rows."""

import argparse

import pytest


def row(proxy_wers, dev_wer):
    return {"proxy_wers": [*proxy_wers, *[1.0] * 48], "dev_wer": dev_wer}


def test_a_task_is_read_as_it_is_written_and_an_unknown_one_is_refused(bench):
    task = bench.Task.parse("small:8")
    assert bench.Task.parse(str(task)) == task == ("small", 8.0)
    with pytest.raises(argparse.ArgumentTypeError, match=r"there is no configs/tiny.yaml; like small:8"):
        bench.Task.parse("tiny:8")


def test_the_searches_of_a_task_stand_beside_each_other(bench):
    source, task = bench.Task("small", 5.0), bench.Task("small", 8.0)
    ours = row([0.1, 0.1], 0.05)
    searches = [
        (ours, row([None, 0.5], 0.30), row([0.4, 0.6], 0.20)),
        (ours, row([0.3, 0.2], 0.10), row([0.2, 0.1], 0.10)),
        (ours, row([0.3, 0.2], 0.40), row([0.2, 0.3], 0.30)),
    ]
    (line,) = bench.table({(source, task): searches}).splitlines()[2:]
    after = "10.00, 20.00, 20.00"
    assert line == f"| small:5 | small:8 | 3 | {after} | {after} | {after} | 5.00, 30.00, 20.00 | 2 of 3 | 0.50 |"
