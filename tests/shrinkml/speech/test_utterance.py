import json
from pathlib import Path

import pytest

from shrinkml.speech.utterance import Utterance, parse_line


@pytest.fixture
def line(make_audio):
    """A good line as a dictionary, its audio half a second long."""
    make_audio("a.flac")
    return {"audio_filepath": "a.flac", "duration": 0.5, "text": "lights on"}


def problems(value: object, base: Path) -> list[str]:
    utterance, found = parse_line(json.dumps(value), base)
    assert (utterance is None) == bool(found)
    return found


def test_a_good_line_becomes_an_utterance(line, tmp_path):
    full = line | {"speaker": "anna", "lang": "en"}
    assert parse_line(json.dumps(full), tmp_path) == (
        Utterance(tmp_path / "a.flac", 0.5, "lights on", "anna", "en"),
        [],
    )


def test_a_line_says_again_what_was_parsed(line, tmp_path):
    utterance, _ = parse_line(json.dumps(line), tmp_path)
    assert json.loads(utterance.to_line(tmp_path)) == line


def test_audio_may_lie_outside_the_folder_and_paths_may_be_absolute(line, tmp_path):
    inner = tmp_path / "inner"
    assert problems(line | {"audio_filepath": "../a.flac"}, inner) == []
    assert problems(line | {"audio_filepath": str(tmp_path / "a.flac")}, inner) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"durration": 1.0}, "unknown key 'durration'; known: audio_filepath, duration, text, speaker, lang. Did you"),
        (
            {"offset": 1.0},
            "unknown key 'offset'; known: audio_filepath, duration, text, speaker, lang. Recordings are heard whole",
        ),
        ({"duration": 0}, "duration is 0; allowed: a number of seconds above 0"),
        ({"duration": -1.0}, "duration is -1.0; allowed"),
        ({"duration": "0.5"}, "duration is '0.5'; allowed"),
        ({"duration": True}, "duration is True; allowed"),
        ({"duration": float("nan")}, "duration is nan; allowed"),
        ({"duration": float("inf")}, "duration is inf; allowed"),
        ({"duration": None}, "duration is None; allowed"),
        ({"text": " "}, "text is ' '; allowed: a string that is not blank"),
        ({"text": 7}, "text is 7; allowed"),
        ({"text": "!!! ..."}, "text is '!!! ...'; allowed: at least one word"),
        (
            {"text": "on \ud800"},
            r"text is 'on \ud800', which holds half a character (a lone surrogate); allowed: whole",
        ),
        ({"speaker": "\udfff"}, r"speaker is '\udfff', which holds half a character"),
        ({"lang": "e\ud800"}, r"lang is 'e\ud800', which holds half a character"),
        ({"duration": 10**400}, "duration is 1000"),
        ({"speaker": 3}, "speaker is 3; allowed"),
        ({"lang": ""}, "lang is ''; allowed"),
        ({"audio_filepath": None}, "audio_filepath is None; allowed"),
        ({"audio_filepath": "gone.flac"}, "no audio file"),
        ({"audio_filepath": "a\0.flac"}, r"audio_filepath is 'a\x00.flac'; allowed: a path"),
        ({"audio_filepath": "a\ud800.flac"}, r"audio_filepath is 'a\ud800.flac'; allowed: a path"),
        ({"audio_filepath": 300 * "a"}, "cannot open"),
        ({"duration": 5.0}, "duration is 5.0 s, but"),
    ],
)
def test_each_wrong_value_is_named(line, tmp_path, change, problem):
    (found,) = problems(line | change, tmp_path)
    assert found.startswith(problem)


def test_a_file_that_is_not_admitted_is_not_looked_at(line, tmp_path):
    def refuse(path: Path) -> None:
        raise PermissionError(path)

    with pytest.raises(PermissionError, match=r"gone\.flac"):
        parse_line(json.dumps(line | {"audio_filepath": "gone.flac"}), tmp_path, admit=refuse)


@pytest.mark.parametrize("key", ["audio_filepath", "duration", "text"])
def test_a_missing_key_is_named(line, tmp_path, key):
    del line[key]
    assert problems(line, tmp_path) == [f"no {key!r}; every line needs audio_filepath, duration, text"]


def test_all_that_is_wrong_with_a_line_is_told_at_once(line, tmp_path):
    assert len(problems({"text": 7, "duration": 0, "pitch": 1}, tmp_path)) == 4


def test_audio_that_cannot_be_read_is_named(line, tmp_path):
    (tmp_path / "a.flac").write_bytes(b"fLaC and then nothing")
    (found,) = problems(line, tmp_path)
    assert "as audio" in found


@pytest.mark.parametrize(("text", "problem"), [("{", "broken JSON"), ("", "broken JSON"), ("[1]", "a line must be")])
def test_a_line_that_is_no_object_is_refused(tmp_path, text, problem):
    utterance, (found,) = parse_line(text, tmp_path)
    assert utterance is None
    assert found.startswith(problem)


@pytest.mark.parametrize(("duration_s", "stated_s", "n_problems"), [(0.5, 0.64, 0), (0.5, 0.66, 1), (20, 20.19, 0)])
def test_durations_may_differ_by_150_ms_or_one_percent(make_audio, tmp_path, duration_s, stated_s, n_problems):
    make_audio("long.flac", duration_s=duration_s)
    found = problems({"audio_filepath": "long.flac", "duration": stated_s, "text": "a"}, tmp_path)
    assert len(found) == n_problems


@pytest.mark.parametrize("line", ["[" * 100_000, '{"duration": ' + "9" * 5000 + "}"])
def test_json_that_cannot_be_read_is_broken(tmp_path, line):
    utterance, (problem,) = parse_line(line, tmp_path)
    assert utterance is None
    assert problem.startswith("broken JSON")


def test_a_problem_is_told_in_few_words_however_long_the_value_is(line, tmp_path):
    long = "x" * 100_000
    wrong = [
        line | {long: 1},
        line | {"text": [long]},
        line | {"audio_filepath": "\0" + long},
        line | {"speaker": [long]},
    ]
    for value in [*wrong, line | {"text": "\ud800" + long}, line | {f"key{i}": 1 for i in range(10_000)}]:
        found = problems(value, tmp_path)
        assert 1 <= len(found) <= 5
        assert all(len(problem) < 500 for problem in found)
