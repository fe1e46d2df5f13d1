"""A file in a temporary folder, and processes that share it."""

import subprocess
import sys
from pathlib import Path

import pytest

from agents.pipeline.folder.lasting_cache import LastingCache, key_of, user_cache


def test_what_is_kept_is_found_by_its_kind_and_key(tmp_path):
    cache = LastingCache(tmp_path / "new" / "facts.sqlite")
    assert cache.find("loss", ["a"]) == {}
    cache.keep("loss", {"a": 0.5, "b": {"x": [1, 2]}})
    assert LastingCache(tmp_path / "new" / "facts.sqlite").find("loss", ["b", "c"]) == {"b": {"x": [1, 2]}}
    assert cache.find("words", ["a"]) == {}
    cache.keep("loss", {"a": 0.25})
    assert cache.find("loss", ["a"]) == {"a": 0.25}


def test_more_keys_than_one_statement_takes_are_found(tmp_path):
    cache = LastingCache(tmp_path / "facts.sqlite")
    values = {str(n): n for n in range(1201)}
    cache.keep("n", values)
    assert cache.find("n", list(values)) == values


def test_a_cache_without_a_file_keeps_nothing():
    cache = LastingCache(None)
    cache.keep("loss", {"a": 0.5})
    assert cache.find("loss", ["a"]) == {}


def test_keys_tell_parts_apart():
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of("a", 1) == key_of("a", "1")


def test_the_users_cache_lies_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "shrinkml" / "facts.sqlite"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache() == Path.home() / ".cache" / "shrinkml" / "facts.sqlite"


def test_processes_may_write_at_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from agents.pipeline.folder.lasting_cache import LastingCache\n"
        "cache = LastingCache(Path(sys.argv[1]))\n"
        "for n in range(30): cache.keep('n', {f'{sys.argv[2]}/{n}': n})"
    )
    file = tmp_path / "facts.sqlite"
    runs = [subprocess.Popen([sys.executable, "-c", program, str(file), name]) for name in "ab"]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert len(LastingCache(file).find("n", [f"{name}/{n}" for name in "ab" for n in range(30)])) == 60
