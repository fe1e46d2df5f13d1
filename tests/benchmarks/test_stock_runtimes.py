"""`make bench-stock` on a toy: programs take turns, and those that are not installed say what to install."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "stock_runtimes.py"


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


@pytest.fixture
def tiny_utterances(tiny_data):
    from shrinkml.speech.manifest import read_manifest

    return read_manifest(tiny_data["test"])[:2]
