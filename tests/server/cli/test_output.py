import pytest

from server.cli.output import ProgressView, duration, print_table
from shrinkml.events import Event, Progress


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75.2, "1:15"), (59.6, "1:00"), (7322.0, "2:02:02")])
def test_durations_are_read_as_on_a_clock(seconds, text):
    assert duration(seconds) == text


def test_a_table_keeps_long_words_whole(capsys):
    print_table(("a", "b"), [("x" * 90, "y" * 90)])
    assert "x" * 90 in capsys.readouterr().out


def test_without_a_terminal_progress_is_told_in_lines_on_standard_error(capsys):
    with ProgressView() as view:
        view.on_event(Event("stage_started", "1", "search", "search started"))
        for message, wer in (("a plan", 0.2), ("a worse one", 0.3), ("a layer alone", 0.0), ("a better one", 0.1)):
            facts = {"wer": wer, "parameters": 10, "within_budget": message != "a layer alone"}
            view.on_event(Event("evaluated", message, "search", message, facts, Progress(0.5, 1, 2, 9.0)))
        view.on_event(Event("stage_finished", "3", "search", "search finished in 2.0 s"))
        view.on_event(Event("epoch", "4", "finetune", "epoch 1 of 2: loss 0.1", progress=Progress(0.8)))
    out, err = capsys.readouterr()
    lines = "a plan, 0:09 left\na better one, 0:09 left\nsearch finished in 2.0 s\nepoch 1 of 2: loss 0.1\n"
    assert (out, err) == ("", lines)


def test_a_log_is_never_silent_for_long_while_there_is_something_to_tell(capsys):
    now = 0.0
    with ProgressView(lambda: now) as view:
        for i in range(1, 9):
            now += 11.0
            view.on_event(Event("transcribed", str(i), "transcripts", f"{i} of 8", progress=Progress(i / 10)))
    assert capsys.readouterr().err == "3 of 8\n6 of 8\n"


def test_on_a_terminal_progress_shows_stage_best_plan_count_and_time_left(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with ProgressView() as view:
        view.on_event(Event("stage_started", "1", "search-3x", "search started", progress=Progress(0.1)))
        for i, wer in enumerate((0.3, 0.125, 0.2)):
            facts = {"wer": wer, "parameters": 1000 + i}
            view.on_event(Event("evaluated", f"e{i}", "search-3x", "", facts, Progress(0.5, i + 1, 40, 83.0)))
    shown = capsys.readouterr().err
    for fact in ("search-3x", "50%", "best 12.5 % WER at 1,001", "3/40 plans", "1:23 left"):
        assert fact in shown
