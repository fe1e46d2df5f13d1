"""The table of before and after says what the report holds."""

from shrinkml.report.facts import facts, summary_table
from shrinkml.report.report_json import from_json


def test_macs_are_a_fact_where_the_goal_counts_them(report):
    assert "MACs per second of audio" not in [fact.label for fact in facts(from_json(report))]
    report["goal"]["resource"] = "macs"
    report["result"]["macs_per_s"] = 2e7
    change = "3.05 times cheaper in multiply-accumulates"
    assert ("MACs per second of audio", "61.0 M", "20.0 M", change) in facts(from_json(report))


def test_each_lever_tells_the_bytes_that_it_left_of_those_before(report):
    assert not [fact for fact in facts(from_json(report)) if fact.label.startswith("  by ")]
    report["baseline"] = {**report["baseline"], "bytes": 12_000_000}
    report["levers"] = [
        {"lever": "rank", "bytes": 4_000_000},
        {"lever": "bits", "bytes": 1_000_000},
        {"lever": "sparsity", "bytes": 500_000},
    ]
    found = [fact for fact in facts(from_json(report)) if fact.label.startswith("  by ")]
    assert found == [
        ("  by rank", "12.00 MB", "4.00 MB", "3.00 times smaller"),
        ("  by bits", "4.00 MB", "1.00 MB", "4.00 times smaller"),
        ("  by sparsity", "1.00 MB", "0.50 MB", "2.00 times smaller, no faster"),
    ]


def test_modules_that_were_left_out_are_named(report):
    assert "Modules left out" not in [fact.label for fact in facts(from_json(report))]
    report["dropped"] = ["encoder.0.attention", "encoder.1.attention"]
    named = "encoder.0.attention, encoder.1.attention"
    assert ("Modules left out", "", "2", named) in facts(from_json(report))


def test_the_wer_with_case_and_punctuation_is_a_fact_where_references_have_them(report):
    label = "WER with case and punctuation"
    assert label not in [fact.label for fact in facts(from_json(report))]
    report["baseline"]["formatted_wer"], report["result"]["formatted_wer"] = 0.1, 0.125
    assert (label, "10.00 %", "12.50 %", "2.50 points more WER") in facts(from_json(report))


def test_the_facts_name_batch_and_threads_of_every_speed(report):
    labels = [fact.label for fact in facts(from_json(report))]
    assert "Real-time factor, batch 1, 1 thread" in labels
    assert "Real-time factor, batch 16, 2 threads" in labels


def test_exports_are_shown_with_their_size_and_what_they_hear(report):
    change = "16.42 times smaller, 0.59 points more WER"
    assert ("For ONNX Runtime, int8", "", "0.66 MB, 1.21 %", change) in facts(from_json(report))
    kept = "encoder.0.weight_hh_l0, output.weight"
    assert ("  layers that it would harm, not in int8", "", kept, "") in facts(from_json(report))
    alone = "1.01 % with the encoder alone, 0.90 % with the decoder alone, 0.89 % with the output alone"
    assert ("  WER of 100 dev utterances in int8", "", alone, "in float 0.89 %") in facts(from_json(report))
    assert ("  WER of those joined to at most 23 s", "", "3.12 %", "in float 2.00 %") in facts(from_json(report))
    assert ("  words heard in silence", "", "1", "in float 0") in facts(from_json(report))


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
    assert [fact.label for fact in facts(from_json(report)) if fact.label.startswith((" ", "For"))] == [
        "For ONNX Runtime, int8"
    ]
    assert ("In torch, int8", "", "1.05 %", "0.43 points more WER") in facts(from_json(report))
    del report["exports"], report["torch_int8"], report["plain_int8"]
    assert not any(fact.label.startswith("In torch") for fact in facts(from_json(report)))
    assert not any(fact.label.startswith("For") for fact in facts(from_json(report)))


def test_the_summary_table_lines_up_before_and_after(report):
    lines = summary_table(from_json(report)).splitlines()
    assert lines[0].startswith("Goal met")
    wer, parameters = (
        next(line for line in lines if line.startswith("WER")),
        next(line for line in lines if "1,071,902" in line),
    )
    assert wer.index("0.73 %") + len("0.73 %") == parameters.index("1,071,902") + len("1,071,902")


def test_a_trimmed_vocabulary_has_a_line_with_what_that_alone_cost(report):
    assert not any(fact.label.startswith("Tokens") for fact in facts(from_json(report)))
    wer = report["sets"]["dev"]["baseline_wer"] + 0.01
    report["vocabulary"] = {"original": 51_864, "kept": 18_000, "wer": wer}
    line = ("Tokens of the vocabulary", "51,864", "18,000", "trimming alone: 1.00 points more WER on dev")
    assert line in facts(from_json(report))


def test_rounded_activations_have_a_line_with_what_they_cost(report):
    assert not any(fact.label == "Activations" for fact in facts(from_json(report)))
    row = {"bits": 8, "scales": "float", "wer": 0.02, "observed_wer": 0.05, "tuned_wer": None, "trained": False}
    report["activations"] = row
    told = "on dev, ranges observed: 3.00 points more WER"
    assert ("Activations", "float", "8 bits", told) in facts(from_json(report))
    row |= {"tuned_wer": 0.021, "trained": True}
    trained = f"{told}; trained: 0.10 points more WER"
    assert ("Activations", "float", "8 bits", trained) in facts(from_json(report))
    row["trained"] = False
    assert ("Activations", "float", "8 bits", f"{trained} (not taken)") in facts(from_json(report))


def test_a_window_has_a_line_with_the_silence_that_was_tried(report):
    assert not any(fact.label == "Window" for fact in facts(from_json(report)))
    tried = [{"tail_s": 1.0, "wer": 0.09}, {"tail_s": 3.0, "wer": 0.07}]
    report["window"] = {"whole_s": 30.0, "tail_s": 3.0, "whole_wer": 0.07, "tried": tried}
    told = "silence behind the words, on dev: 1 s: 2.00 points more WER, 3 s: the same WER"
    assert ("Window", "30 s", "the words and 3 s", told) in facts(from_json(report))
    report["window"] |= {"tail_s": None, "tried": tried[:1]}
    assert ("Window", "30 s", "30 s", "silence behind the words, on dev: 1 s: 2.00 points more WER") in facts(
        from_json(report)
    )


def test_plain_int8_stands_beside_the_result_and_is_handed_over_where_it_wins(report):
    def change():
        (fact,) = [fact for fact in facts(from_json(report)) if fact.label.startswith("The original in plain int8")]
        assert fact.before == "0.95 %"
        return fact.change

    assert change().startswith("1.74 MB, ")
    assert "handed over" not in change()
    report["plain_int8"]["beats_result"] = True
    assert change().endswith("; the result is no better: handed over as original-onnx-int8")
    report["plain_int8"]["meets_goal"] = True
    assert change().endswith("; it meets the goal: handed over as original-onnx-int8")


def test_without_transcripts_it_is_said_what_errors_are(report):
    labels = [fact.label for fact in facts(from_json(report))]
    assert not any(label.startswith("No transcripts") for label in labels)
    report["untranscribed"] = ["dev", "test"]
    first = facts(from_json(report))[0]
    assert first == ("No transcripts of dev, test", "", "", "WER: words unlike the original's")
