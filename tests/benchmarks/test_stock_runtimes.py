"""`make bench-stock` on a toy: programs take turns, and those that are not installed say what to install."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "stock_runtimes.py"


@pytest.mark.slow
def test_each_program_is_a_row_that_opens_or_says_what_to_install(stock_dir, tiny_data, tmp_path):
    pytest.importorskip("sherpa_onnx", reason="sherpa-onnx is not installed")
    command = [sys.executable, SCRIPT, stock_dir("whisper"), "--speech", tiny_data["test"], "--utterances", "2"]
    command += ["--programs", "sherpa-onnx", "transformers.js", "--precisions", "float", "--node", tmp_path]
    made = subprocess.run([*command, "--out", tmp_path / "out"], capture_output=True, text=True, check=True)
    header, _, *lines = ([cell.strip() for cell in line.split("|")[1:-1]] for line in made.stdout.splitlines())
    ours, sherpa, missing = (dict(zip(header, line, strict=True)) for line in lines)
    assert [row["program"] for row in (ours, sherpa, missing)] == ["ours", "sherpa-onnx", "transformers.js"]
    assert (ours["opens"], ours["as ours"], ours["times as fast"]) == ("yes", "2 of 2", "1.00")
    assert (sherpa["opens"], sherpa["as ours"].split()[1:]) == ("yes", ["of", "2"])
    assert float(sherpa["times as fast"]) > 0
    assert missing["opens"] == "no: not installed: npm install @huggingface/transformers"
    written = sum(path.stat().st_size for path in (tmp_path / "out").glob("*-sherpa-onnx-float/*.onnx"))
    assert sherpa["bytes"] == f"{written:,}"
    records = json.loads((tmp_path / "out" / "table.json").read_text())
    assert [{name: row[name] for name in header} for row in records] == [ours, sherpa, missing]
    assert [len(row["texts"]) for row in records] == [2, 2, 0]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; sys.exit('ModuleError: no such layer\\nbye')", "no: ModuleError: no such layer"),
        ("print('{}'); input(); raise ValueError('broken')", "ended: ValueError: broken"),
    ],
)
def test_a_program_that_fails_is_a_row_with_its_last_error(bench, tiny_utterances, tmp_path, program, reason):
    failing, fine = bench.Row("toy", bench.FLOAT, "sherpa-onnx"), bench.Row("toy", bench.FLOAT, bench.OURS)
    echo = 'print("{}")\nwhile input(): print(\'{"text": "a", "seconds": 2.0}\', flush=True)'
    programs = {"sherpa-onnx": program, bench.OURS: echo}

    def open_row(row):
        return bench.Worker([sys.executable, "-uc", programs[row.program]], tmp_path)

    assert bench.measure([fine, failing], tiny_utterances, tmp_path, open_row) == len(tiny_utterances)
    assert failing.opens == reason
    assert fine.texts == ["a"] * len(tiny_utterances)
    assert bench.cells(failing, [fine, failing], ["a"] * len(tiny_utterances))[4:] == [""] * 5


def test_what_was_written_is_used_again_only_if_it_is_made_of_the_same(bench, tiny_model_dir, tmp_path):
    def written(model, row, speech=()):
        return bench.write(bench.ONNX, bench.Row(str(model), row, bench.OURS), tmp_path / "out", speech, sys.executable)

    model = shutil.copytree(tiny_model_dir, tmp_path / "model")
    first = written(model, bench.FLOAT)
    stamp = (first / "recogniser.json").stat().st_mtime_ns
    assert written(model, bench.FLOAT) == first
    assert (first / "recogniser.json").stat().st_mtime_ns == stamp
    other = shutil.copytree(model, tmp_path / "later" / "model")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    second = written(other, bench.FLOAT)
    assert second != first
    assert json.loads((second / "recogniser.json").read_text())["source"] == bench.checkpoint.inspect(other).digest


def test_what_was_written_by_other_sources_or_on_other_speech_is_not_used(
    bench, stock_dir, tiny_utterances, monkeypatch
):
    model = str(stock_dir("whisper"))
    now = bench.ingredients(model, ())
    assert bench.ingredients(model, tuple(tiny_utterances)) != now
    bench.ingredients.cache_clear()
    monkeypatch.setattr(bench.shrinkml, "__file__", str(SCRIPT))  # the sources beside it
    assert bench.ingredients(model, ()) != now


def test_without_ours_to_compare_with_the_measurement_says_why(bench, tiny_utterances, tmp_path):
    stale = bench.Row("toy", bench.FLOAT, bench.OURS)

    def open_row(row):
        raise bench.NotOpenedError("it has format 3")

    with pytest.raises(bench.NotOpenedError, match="toy in ours opens: no: it has format 3"):
        bench.measure([stale], tiny_utterances, tmp_path, open_row)


def test_where_ours_of_a_precision_does_not_open_nothing_is_as_it(bench):
    ours = bench.Row("toy", bench.FLOAT, bench.OURS, texts=["a"], seconds=[1.0])
    broken = bench.Row("toy", bench.INT8, bench.OURS, opens="no: broken")
    sherpa = bench.Row("toy", bench.INT8, "sherpa-onnx", texts=["a"], seconds=[2.0])
    line = dict(zip(bench.COLUMNS, bench.cells(sherpa, [ours, broken, sherpa], ["a"]), strict=True))
    assert (line["as ours"], line["as ours in float"], line["times as fast"]) == ("", "1 of 1", "0.50")


@pytest.fixture
def tiny_utterances(tiny_data):
    from shrinkml.speech.manifest import read_manifest

    return read_manifest(tiny_data["test"])[:2]
