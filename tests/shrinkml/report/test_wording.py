"""The report's sentences say what the figures say."""

import pytest

from shrinkml.report.wording import (
    facts,
    headline,
    interval,
    median_wers,
    optimism,
    stopped_early,
    verdict,
    wer_change,
)


def test_a_met_goal_is_said_with_what_was_reached_and_allowed(report):
    expected = "Goal met: 5.05 times smaller with 0.11 points more WER on test (at most 0.30 points more allowed)."
    assert headline(report) == expected


@pytest.mark.parametrize(
    ("missed_by", "words"),
    [
        (
            (0.8, 0.0, 0.0012),
            "; 0.80 short of 5 times; the best model 5 times smaller has 0.12 points too many on dev.",
        ),
        ((0.0, 0.0012, 0.0), "; 0.12 points of WER too many."),
        ((0.8, 0.0012, 0.0), "; 0.80 short of 5 times; 0.12 points of WER too many."),
    ],
)
def test_a_missed_goal_is_said_with_by_how_much(report, missed_by, words):
    keys = ("compression_ratio", "wer", "wer_at_goal_ratio")
    report.update(goal_met=False, missed_by=dict(zip(keys, missed_by, strict=True)))
    said = headline(report)
    assert said.startswith("Goal missed: 5.05 times smaller with 0.11 points more WER on test")
    assert said.endswith(words)


@pytest.mark.parametrize(
    ("resource", "met", "missed"),
    [
        (
            "macs",
            "Goal met: 3.05 times cheaper in multiply-accumulates, 5.05 times smaller, with 0.11 points more WER",
            "; 0.80 short of 5 times; the best model 5 times cheaper in multiply-accumulates has 0.12 points too many",
        ),
        (
            "latency",
            "Goal met: 1.80 times as fast at batch 1, 5.05 times smaller, with 0.11 points more WER on test",
            "; 0.80 short of 5 times; the best model 5 times as fast at batch 1 has 0.12 points too many on dev",
        ),
    ],
)
def test_a_goal_is_said_in_what_it_counts(report, resource, met, missed):
    report["goal"]["resource"] = resource
    report["result"]["macs_per_s"] = 2e7
    assert headline(report).startswith(met)
    report.update(goal_met=False, missed_by={"compression_ratio": 0.8, "wer": 0.0, "wer_at_goal_ratio": 0.0012})
    assert missed in headline(report)


def test_macs_are_a_fact_where_the_goal_counts_them(report):
    assert "MACs per second of audio" not in [fact.label for fact in facts(report)]
    report["goal"]["resource"] = "macs"
    report["result"]["macs_per_s"] = 2e7
    change = "3.05 times cheaper in multiply-accumulates"
    assert ("MACs per second of audio", "61.0 M", "20.0 M", change) in facts(report)


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
    assert words in verdict(report)


def test_the_verdict_counts_the_words_that_decided(report):
    report["comparison"] = comparison(ppo=[0.02], greedy=[0.03])
    report["sets"]["proxy"]["n_words"] = 700
    assert "(7 of 700 words)." in verdict(report)
    report["sets"]["proxy"]["n_words"] = 500
    assert "(5 of 500 words, which may be chance)." in verdict(report)


def test_the_verdict_says_whose_plan_was_taken_and_that_seeds_were_medians(report):
    report["comparison"] = comparison(ppo=[0.03, 0.05], greedy=[0.02])
    report["stages"][-1]["strategy"] = "greedy"
    said = verdict(report)
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
    report["stages"][-1]["finalists"][0]["dev_wer"] = dev_wer
    assert words in optimism(report)


def test_reports_without_finalists_tell_no_such_loss(report):
    del report["stages"][-1]["finalists"]
    assert optimism(report) == ""
    report["stages"] = []
    assert optimism(report) == ""


def test_seeds_are_compared_by_their_median():
    assert median_wers(comparison(ppo=[0.01, 0.02, 0.09], sac=[0.03])) == {"ppo": 0.02, "sac": 0.03}


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.003, "0.30 points more WER"), (-0.001, "0.10 points less WER"), (0.0, "the same WER")],
)
def test_a_change_of_wer_says_its_direction(difference, words):
    assert wer_change(difference) == words


def test_an_interval_is_in_percent():
    assert interval((0.0041, 0.0087)) == "0.41 to 0.87 %"


def test_the_facts_name_batch_and_threads_of_every_speed(report):
    labels = [fact.label for fact in facts(report)]
    assert "Real-time factor, batch 1, 1 thread" in labels
    assert "Real-time factor, batch 16, 2 threads" in labels


def test_exports_are_shown_with_their_size_and_what_they_hear(report):
    change = "16.42 times smaller, 0.59 points more WER"
    assert ("For ONNX Runtime, int8", "", "0.66 MB, 1.21 %", change) in facts(report)
    kept = "encoder.0.weight_hh_l0, output.weight"
    assert ("  layers that it would harm, not in int8", "", kept, "") in facts(report)
    alone = "1.01 % with the encoder alone, 0.90 % with the decoder alone, 0.89 % with the output alone"
    assert ("  WER of 100 dev utterances in int8", "", alone, "in float 0.89 %") in facts(report)
    assert ("  WER of those joined to at most 23 s", "", "3.12 %", "in float 2.00 %") in facts(report)
    assert ("  words heard in silence", "", "1", "in float 0") in facts(report)


def test_exports_of_reports_older_than_those_are_shown_without_them(report):
    for key in (
        "kept_layers",
        "component_wers",
        "longest_s",
        "long_wer",
        "long_wer_exported",
        "silence_words_exported",
    ):
        del report["exports"][0][key]
    assert [fact.label for fact in facts(report) if fact.label.startswith((" ", "For"))] == ["For ONNX Runtime, int8"]
    assert ("In torch, int8", "", "1.05 %", "0.43 points more WER") in facts(report)
    del report["exports"], report["torch_int8"]
    assert not any(fact.label.startswith("In torch") for fact in facts(report))
    assert not any(fact.label.startswith("For") for fact in facts(report))


def test_what_racing_saved_is_said_and_nothing_where_all_plans_were_judged_whole(report):
    assert stopped_early(report) == ""
    for trial, heard in zip(report["trials"], (0.25, 0.5, 1.0), strict=False):
        trial["heard"] = heard
    n = len(report["trials"])
    assert stopped_early(report).startswith(f"2 of {n} plans were stopped early, after 38 % of the words on average, ")
