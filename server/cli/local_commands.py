"""Commands that work in this process, without a server."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from server.cli.options import AllowHub
from server.cli.output import INTERRUPTED, Json, ProgressView, note, print_json, print_table
from shrinkml.errors import StoppedError
from shrinkml.events import ShouldStop
from shrinkml.speech.normalisers import DEFAULT, NORMALISERS, normaliser_called
from shrinkml.storage.bundle import bundled_names

Model = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(bundled_names())} (bundled), or the folder of a checkpoint or of a transformers model."
    ),
]
Int8 = Annotated[bool, typer.Option("--int8", help="Multiply in int8, in layers that are large enough to gain by it.")]
PARTS_AT_A_TIME = 8  # of a long recording: some seconds of work, some hundred megabytes

Beam = Annotated[int, typer.Option(min=1, help="Hypotheses kept while decoding; 1 is greedy.")]


def compress(
    config: Annotated[Path, typer.Argument(help="The job, as YAML; see configs/demo.yaml.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run [default: runs/NAME].")] = None,
    model: Annotated[str | None, typer.Option(help="Compress this model, not the one that the job names.")] = None,
    allow_hub: AllowHub = False,
    as_json: Json = False,
) -> None:
    """Compress a model here, without a server.

    The folder holds the checkpoints and report.html in the end. Ctrl-C stops; the same command goes on from there.

    Example: shrinkml compress configs/demo.yaml --out runs/mine
    """
    from agents.pipeline.folder.lasting_cache import user_cache
    from agents.pipeline.job_run import run_job
    from shrinkml.job import read_job, resolved
    from shrinkml.report import summary_table, to_json

    spec = read_job(config)
    if model is not None:
        spec = resolved(spec.model_copy(update={"model": model}), Path.cwd())
    folder = out or Path("runs") / spec.name
    try:
        with stop_on_interrupt() as should_stop, ProgressView() as view:
            report = run_job(
                spec,
                folder,
                on_event=view.on_event,
                should_stop=should_stop,
                allow_hub=allow_hub,
                cache=user_cache(),
            )
    except StoppedError as stopped:
        note(f"Stopped ({stopped}). The same command goes on from there; what is finished lies in {folder}.")
        if stopped.best is not None:
            note(f"Best so far: {folder / 'checkpoints' / stopped.best}")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(to_json(report))
    else:
        print(summary_table(report))
        print(f"\nCheckpoints: {folder / 'checkpoints'}\nReport: {folder / 'report.html'}")
    if not report.goal_met:
        raise typer.Exit(1)


def transcribe(
    model: Model,
    audio: Annotated[
        list[Path],
        typer.Argument(
            help="Audio files: WAV, FLAC, OGG or MP3; with --streaming, - for 16-bit mono samples on standard input."
        ),
    ],
    beam: Beam = 1,
    int8: Int8 = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Print the transcript as it grows, while speech is heard.")
    ] = False,
    real_time: Annotated[bool, typer.Option("--real-time", help="Stream files no faster than they play.")] = False,
    as_json: Json = False,
) -> None:
    """Print what a model hears in audio files; what is longer than it hears at once is cut where it is quiet.

    Example: shrinkml transcribe reference/las hello.wav
    """
    if streaming:
        _transcribe_streaming(model, audio, int8=int8, real_time=real_time, as_json=as_json)
        return
    import shrinkml
    from shrinkml.measure.file_transcripts import transcribe_files

    recogniser = shrinkml.load(model, int8=int8)
    for path in audio:
        (text,) = transcribe_files(recogniser, [path], batch_size=PARTS_AT_A_TIME, beam=beam)
        if as_json:
            print_json({"audio": str(path), "text": text}, one_line=True)
        else:
            print(text if len(audio) == 1 else f"{path}: {text}")


def _transcribe_streaming(model: str, audio: list[Path], *, int8: bool, real_time: bool, as_json: bool) -> None:
    import shrinkml
    from server.cli.streaming import hear

    recogniser = shrinkml.load(model, int8=int8)
    for path in audio:
        for heard in hear(recogniser, path, real_time=real_time):
            if as_json:
                print_json({"audio": str(path), **heard._asdict()}, one_line=True)
            elif heard.final:
                print(heard.text if len(audio) == 1 else f"{path}: {heard.text}")
            else:
                note(f"{heard.time_s:6.1f} s  {heard.text}")


def evaluate(
    model: Model,
    manifest: Annotated[Path, typer.Argument(help="Transcribed speech, as JSON lines.")],
    beam: Beam = 1,
    int8: Int8 = False,
    streaming: Annotated[
        bool,
        typer.Option("--streaming", help="Measure what is written while speech is heard, not in the end."),
    ] = False,
    normaliser: Annotated[
        str, typer.Option(help=f"What counts as the same words: {', '.join(NORMALISERS)}.")
    ] = DEFAULT,
    out: Annotated[
        Path | None, typer.Option(help="File for a JSON line of each utterance: texts and errors.", dir_okay=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a model's word error rate; what is longer than it hears at once is cut where it is quiet.

    Example: shrinkml evaluate reference/las data/commands/test.jsonl
    """
    from shrinkml.measure.evaluation import evaluation_of
    from shrinkml.measure.file_transcripts import transcribe_files
    from shrinkml.measure.utterance_rows import utterance_rows
    from shrinkml.speech.manifest import check_splits, check_words
    from shrinkml.storage import checkpoint
    from shrinkml.training.dataset import unheard

    clean = normaliser_called(normaliser)
    utterances = check_splits({"test": manifest})["test"]
    check_words(utterances, clean)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    recogniser = checkpoint.load(model, int8=int8)
    if streaming:
        from server.cli.streaming import first_pass

        recogniser = first_pass(recogniser)
    stored_bytes = checkpoint.inspect(model).stored_bytes
    heard = transcribe_files(recogniser, [utterance.audio for utterance in utterances], beam=beam)
    result = evaluation_of(recogniser, unheard(utterances), heard, stored_bytes=stored_bytes, normaliser=normaliser)
    result = replace(result, parameters=checkpoint.stored_parameters(model))  # in int8, tied weights are two
    if out is not None:
        rows = utterance_rows(utterances, heard, normaliser)
        out.write_text("".join(f"{json.dumps(asdict(row), ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    if as_json:
        print_json({**result.to_json(), "int8": int8})
        return
    low, high = result.wer_ci95
    print_table(
        ("", ""),
        [
            ("WER", f"{result.wer:.2%} (95 %: {low:.2%} to {high:.2%})"),
            *([] if result.formatted_wer is None else [("with case and punctuation", f"{result.formatted_wer:.2%}")]),
            ("CER", f"{result.cer:.2%}"),
            ("errors", f"{result.substitutions} substituted, {result.deletions} deleted, {result.insertions} inserted"),
            ("data", f"{result.n_utterances} utterances, {result.n_words} words by {result.normaliser}"),
            ("model", f"{result.parameters:,} parameters, {result.bytes / 1e6:.2f} MB"),
        ],
    )


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, or a report.json.")],
    as_json: Json = False,
) -> None:
    """Print the table of a finished run.

    Example: shrinkml report runs/demo
    """
    from shrinkml.report import read_report, summary_table, to_json

    found = read_report(folder if folder.is_file() else folder / "report.json")
    if as_json:
        print_json(to_json(found))
    else:
        print(summary_table(found))


@contextmanager
def stop_on_interrupt() -> Iterator[ShouldStop]:
    """Yield a function that is True once Ctrl-C was pressed; pressed again, it interrupts at once."""
    pressed = False

    def press(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        note("Stopping; Ctrl-C again ends at once.")

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
