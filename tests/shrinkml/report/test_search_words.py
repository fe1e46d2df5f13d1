"""The sentences about searches say what their rows say."""

import pytest

from shrinkml.report.report_json import from_json
from shrinkml.report.search_rows import ComparisonRow
from shrinkml.report.search_words import median_wers, optimism, stopped_early, verdict


def comparison(**wers):
    return [
        {"strategy": strategy, "seed": seed, "evaluations": 50, "compression_ratio": 5.0, "wer": wer}
        for strategy, values in wers.items()
        for seed, wer in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            comparison(ppo=[0.02], greedy=[0.03], random=[0.04]),
            "At equal evaluations (at most 50 each), ppo won against greedy, the best of the others: 2.00 % against 3",
        ),
        (comparison(ppo=[0.03], greedy=[0.02]), "ppo lost to greedy"),
        (comparison(ppo=[0.03], greedy=[0.03]), "ppo tied with greedy"),
        (comparison(ppo=[0.03]), "No other strategy was run"),
        ([], "No other strategy was run"),
    ],
)
def test_the_verdict_names_the_winner(report, rows, words):
    report["comparison"] = rows
    assert words in verdict(from_json(report))


def test_the_verdict_counts_the_words_that_decided(report):
    report["comparison"] = comparison(ppo=[0.02], greedy=[0.03])
    report["sets"]["proxy"]["n_words"] = 700
    assert "(7 of 700 words)." in verdict(from_json(report))
    report["sets"]["proxy"]["n_words"] = 500
    assert "(5 of 500 words, which may be chance)." in verdict(from_json(report))


def test_the_verdict_says_whose_plan_was_taken_and_that_seeds_were_medians(report):
    report["comparison"] = comparison(ppo=[0.03, 0.05], greedy=[0.02])
    report["steps"][-1]["strategy"] = "greedy"
    said = verdict(from_json(report))
    assert "ppo lost to greedy, the best of the others: 4.00 % against 2.00 % WER before fine-tuning, medians" in said
    assert said.endswith("The plan taken was greedy's.")


@pytest.mark.parametrize(
    ("dev_wer", "words"),
    [
        (
            0.0327,
            "2.18 % WER on the proxy set, where plans are judged, and 3.27 % on all of dev, the original 0.58 % and",
        ),
        (0.0327, "0.70 %; its loss on dev against that on the proxy set: 0.97 points more WER."),
        (0.0218, "against that on the proxy set: 0.12 points less WER."),
    ],
)
def test_the_loss_on_dev_of_the_plan_taken_is_told_beside_the_one_that_the_search_saw(report, dev_wer, words):
    report["sets"]["dev"]["baseline_wer"] = 0.007
    report["steps"][-1]["finalists"][0]["dev_wer"] = dev_wer
    assert words in optimism(from_json(report))


def test_reports_without_finalists_tell_no_such_loss(report):
    del report["steps"][-1]["finalists"]
    assert optimism(from_json(report)) == ""
    report["steps"] = []
    assert optimism(from_json(report)) == ""


def test_seeds_are_compared_by_their_median():
    rows = [ComparisonRow(**row) for row in comparison(ppo=[0.01, 0.02, 0.09], sac=[0.03])]
    assert median_wers(rows) == {"ppo": 0.02, "sac": 0.03}


def test_what_racing_saved_is_said_and_nothing_where_all_plans_were_judged_whole(report):
    assert stopped_early(from_json(report)) == ""
    for trial, heard in zip(report["trials"], (0.25, 0.5, 1.0), strict=False):
        trial["heard"] = heard
    n = len(report["trials"])
    assert stopped_early(from_json(report)).startswith(
        f"2 of {n} plans were stopped early, after 38 % of the words on average, "
    )
