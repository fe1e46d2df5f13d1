"""A recogniser in the programs of others: `python benchmarks/stock_runtimes.py MODEL...`, the first the original.

A row for each model, precision and program: whether the program opens what `shrinkml export` or `shrinkml merge` wrote
for it; in how many utterances it writes what ours does (`shrinkml export` for ONNX Runtime) of the same precision, and
what ours does in float; its WER; bytes of the model's files; and how many times as fast it is as ours with the original
in float: the median over utterances, heard by all in turns, of seconds of the processor, one thread, one utterance at
a time. A program that no interpreter has is a row that says what to install. What was written stays in --out, in a
folder named after all that it was made of (`ingredients`), and is used again as long as that is the same.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch

import shrinkml
from shrinkml.errors import ExportError
from shrinkml.export.exporter import Exporter
from shrinkml.export.recipe import RECIPE
from shrinkml.export.stock import StockExporter
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance
from shrinkml.storage import checkpoint
from shrinkml.storage.merging import save_merged
from shrinkml.storage.model_folder import digest_of

HERE = Path(__file__).resolve().parent
RATE_HZ = 16_000
OURS = "ours"
FLOAT, INT8 = "float", "int8"
ONNX, CTRANSLATE2 = "onnx", "ctranslate2"  # files of no layout
COLUMNS = ("model", "precision", "program", "opens", "as ours", "as ours in float", "WER %", "bytes", "times as fast")

own_exporter, stock_exporter = cache(Exporter), cache(StockExporter)


class NotOpenedError(Exception):
    """The reason why a program does not open a model."""


@dataclass(frozen=True, slots=True)
class Program:
    """One way to run a recogniser.

    Attributes:
        files: what it opens: ONNX, a layout of `shrinkml export`, or CTRANSLATE2.
        module: of Python that it is; of JavaScript where it holds a slash.
        install: the command that brings it.
    """

    files: str
    module: str
    install: str


PROGRAMS = {
    OURS: Program(ONNX, "onnxruntime", "pip install onnxruntime"),
    "sherpa-onnx": Program("sherpa-onnx", "sherpa_onnx", "pip install sherpa-onnx"),
    "optimum": Program("optimum", "optimum.onnxruntime", "pip install optimum-onnx onnxruntime"),
    "onnx-asr": Program("optimum", "onnx_asr", "pip install onnx-asr"),
    "transformers.js": Program("optimum", "@huggingface/transformers", "npm install @huggingface/transformers"),
    "faster-whisper": Program(CTRANSLATE2, "faster_whisper", "pip install faster-whisper"),
}


@dataclass(slots=True)
class Row:
    """A model in a program.

    Attributes:
        model: a checkpoint.
        precision: FLOAT or INT8.
        program: of the table.
        opens: "yes", or the reason why not.
        bytes: of the files of the model that it opens.
        texts: what it wrote of each utterance.
        seconds: of the processor, for each.
    """

    model: str
    precision: str
    program: str
    opens: str = "yes"
    bytes: int = 0
    texts: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


class Worker:
    """A program in a process of its own, which has opened a model; a context manager that ends it."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        """The program that `command` starts.

        Raises:
            NotOpenedError: it does not open the model, and why.
        """
        self._errors = TemporaryFile()  # noqa: SIM115 - closed with the process
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **one_thread, "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        try:
            self._answer()
        except NotOpenedError:
            self.close()
            raise

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def hear(self, waveform: Path) -> tuple[str, float]:
        """Its text of the samples in a file, and the seconds of the processor that this took.

        Raises:
            NotOpenedError: it ended.
        """
        with suppress(BrokenPipeError):  # it has ended: no answer will come
            print(waveform, file=self._process.stdin, flush=True)
        answer = self._answer()
        return answer["text"], answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        """The next line that is JSON: some programs greet."""
        for line in self._process.stdout or ():
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        self._errors.seek(0)
        raise NotOpenedError(_last_error(self._errors.read().decode(errors="replace")))


def _last_error(told: str) -> str:
    lines = told.strip().splitlines() or ["it ended without a word"]
    return next((line for line in reversed(lines) if "Error" in line), lines[-1]).strip()


def interpreter(program: Program, pythons: Sequence[str], node: Path) -> str:
    """The interpreter that has `program`.

    Raises:
        NotOpenedError: none has, and what to install.
    """
    if "/" in program.module:
        if (node / "node_modules" / program.module).is_dir():
            return "node"
    else:
        find = "import importlib, sys; importlib.import_module(sys.argv[1])"
        for python in pythons:
            if not subprocess.run([python, "-c", find, program.module], capture_output=True, check=False).returncode:
                return python
    raise NotOpenedError(f"not installed: {program.install}")


@cache
def ingredients(model: str, speech: tuple[Utterance, ...]) -> str:
    """A digest of what an export is made of: the model, the sources of ShrinkML, and the speech that int8 asks for."""
    sources = digest_of(sorted(Path(shrinkml.__file__).parent.rglob("*.py")))
    return hashlib.sha256(repr((checkpoint.inspect(model).digest, sources, speech)).encode()).hexdigest()[:8]


def write(files: str, row: Row, out: Path, speech: Sequence[Utterance], python: str) -> Path:
    """The folder in `out` with the `files` of a row, written if it is not there; int8 spares what `speech` asks for.

    Raises:
        NotOpenedError: they cannot be written, and why.
    """
    int8 = row.precision == INT8
    made_of = f"{Path(row.model).name}-{ingredients(row.model, tuple(speech) if int8 else ())}"
    folder = out / f"{made_of}-{files}-{row.precision}"
    if folder.exists():
        return folder
    try:
        if files == ONNX:
            own_exporter(row.model).write(folder, int8=int8, speech=speech)
        elif files == CTRANSLATE2:
            _write_ctranslate2(row, folder, python)
        else:
            recipe = json.loads((out / f"{made_of}-{ONNX}-{row.precision}" / RECIPE).read_text())
            stock_exporter(row.model, files).write(folder, int8=int8, kept=frozenset(recipe["kept"]))
    except ExportError as error:
        raise NotOpenedError(str(error)) from error
    return folder


def _write_ctranslate2(row: Row, folder: Path, python: str) -> None:
    """CTranslate2 holds no low rank: it is given the products."""
    merged = folder.with_name(f"{folder.name}-merged")
    save_merged(row.model, merged)
    command = [python, "-m", "ctranslate2.converters.transformers", "--model", merged, "--output_dir", folder]
    command += ["--quantization", "int8" if row.precision == INT8 else "float32"]
    command += ["--copy_files", "tokenizer.json", "preprocessor_config.json"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotOpenedError(_last_error(done.stderr))


def opened(row: Row, out: Path, speech: Sequence[Utterance], pythons: Sequence[str], node: Path) -> Worker:
    """The worker of `row`.

    Raises:
        NotOpenedError: the program is not there, its files cannot be written, or it does not open them.
    """
    program = PROGRAMS[row.program]
    runs = interpreter(program, pythons, node)
    folder = write(program.files, row, out, speech, runs).resolve()
    files = [path for path in folder.rglob("*") if path.suffix in (".onnx", ".bin")]
    row.bytes = sum(path.stat().st_size for path in files)
    if runs == "node":
        return Worker([runs, str(HERE / "stock_worker.mjs"), str(folder), row.precision], node)
    return Worker([runs, str(HERE / "stock_worker.py"), row.program, str(folder), row.precision], folder)


def measure(rows: Sequence[Row], utterances: Sequence[Utterance], out: Path, open_row: Callable[[Row], Worker]) -> int:
    """Fill in `rows`: every program hears every one of `utterances`, in turns; how many, as Ctrl-C ends it early.

    Raises:
        NotOpenedError: the first of `rows`, which all are compared with, does not open or ended, and why.
    """
    with ExitStack() as stack:
        workers: list[tuple[Row, Worker]] = []
        for row in rows:
            try:
                workers.append((row, stack.enter_context(open_row(row))))
            except NotOpenedError as error:
                row.opens = f"no: {error}"
        path = (out / "waveform.npy").resolve()
        with suppress(KeyboardInterrupt):
            for utterance in utterances:
                np.save(path, read_audio(utterance.audio, RATE_HZ).astype(np.float32))
                for row, worker in workers:
                    _hear(row, worker, path)
    if rows[0].opens != "yes":
        raise NotOpenedError(f"nothing to compare with: {rows[0].model} in {rows[0].program} opens: {rows[0].opens}")
    whole = min(len(row.seconds) for row in rows if row.opens == "yes")
    for row in rows:
        del row.texts[whole:], row.seconds[whole:]
    return whole


def _hear(row: Row, worker: Worker, waveform: Path) -> None:
    if row.opens != "yes":
        return
    try:
        text, seconds = worker.hear(waveform)
    except NotOpenedError as error:
        row.opens = f"ended: {error}"
    else:
        row.texts.append(text)
        row.seconds.append(seconds)


def cells(row: Row, rows: Sequence[Row], references: Sequence[str]) -> list[str]:
    """The line of `row` in the table."""
    name = [Path(row.model).name, row.precision, row.program, row.opens]
    if row.opens != "yes":
        return [*name, *[""] * (len(COLUMNS) - len(name))]
    same, wide = _ours(rows, row.model, row.precision), _ours(rows, row.model, FLOAT)
    ratios = [ours / own for ours, own in zip(rows[0].seconds, row.seconds, strict=True)]
    return [
        *name,
        *(_alike(row.texts, one.texts) if one.opens == "yes" else "" for one in (same, wide)),
        f"{100 * word_errors(references, row.texts).wer:.1f}",
        f"{row.bytes:,}",
        f"{statistics.median(ratios):.2f}",
    ]


def _alike(texts: Sequence[str], others: Sequence[str]) -> str:
    return f"{sum(map(str.__eq__, texts, others))} of {len(texts)}"


def _ours(rows: Sequence[Row], model: str, precision: str) -> Row:
    return next(row for row in rows if (row.model, row.precision, row.program) == (model, precision, OURS))


def table(rows: Sequence[Row], references: Sequence[str]) -> str:
    """Markdown, a line per row."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(cells(row, rows, references) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="checkpoints of a Whisper; the first is the original")
    parser.add_argument("--speech", type=Path, default=Path("data/librispeech-30s/test.jsonl"), help="manifest to hear")
    parser.add_argument("--utterances", type=int, default=100, help="the first so many of it")
    parser.add_argument("--int8-speech", type=Path, help="manifest, its first 16 show which layers int8 would harm")
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="beside ours")
    parser.add_argument("--precisions", nargs="+", choices=(FLOAT, INT8), default=[FLOAT, INT8])
    parser.add_argument("--python", action="append", default=[], help="another interpreter, which has some programs")
    parser.add_argument("--node", type=Path, default=Path(), help="folder in which npm installed transformers.js")
    parser.add_argument("--out", type=Path, default=Path("runs/bench/stock"), help="where files and the JSON go")
    given = parser.parse_args()
    torch.set_num_threads(1)
    programs = list(dict.fromkeys([OURS, *given.programs]))
    precisions = sorted({FLOAT, *given.precisions})
    rows = [Row(model, precision, one) for model in given.models for precision in precisions for one in programs]
    utterances = read_manifest(given.speech)[: given.utterances]
    few = read_manifest(given.int8_speech) if given.int8_speech else ()
    given.out.mkdir(parents=True, exist_ok=True)
    pythons = [sys.executable, *given.python]
    try:
        n = measure(rows, utterances, given.out, lambda row: opened(row, given.out, few, pythons, given.node))
    except NotOpenedError as error:
        parser.exit(1, f"{error}\n")
    references = [utterance.text for utterance in utterances[:n]]
    print(table(rows, references))
    lines = [dict(zip(COLUMNS, cells(row, rows, references), strict=True)) | {"texts": row.texts} for row in rows]
    (given.out / "table.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
