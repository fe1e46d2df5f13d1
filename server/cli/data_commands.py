"""Commands that make manifests."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from server.cli.output import Json, note, print_json

Layout = StrEnum("Layout", ["kaldi", "audiofolder"])
Task = StrEnum("Task", ["commands", "digits", "librispeech"])


def prepare(
    task: Annotated[Task, typer.Argument(help="The reference task.")],
    folder: Annotated[Path, typer.Argument(help="Where its manifests go; made once.")],
    source: Annotated[Path | None, typer.Option(help="Folder of the recordings, for digits and librispeech.")] = None,
    longest: Annotated[
        float | None,
        typer.Option(min=0.1, help="Seconds; longer utterances of librispeech are left out (a Whisper hears 30)."),
    ] = None,
    test_speakers: Annotated[
        int | None, typer.Option(min=1, help="Speakers of librispeech held out for test [default: 3].")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the manifests of a reference task.

    commands: home commands in synthetic speech, made on the spot.
    digits: digit strings of real people. librispeech: read English, split by speaker.

    Example: shrinkml prepare commands data/commands

    Example: shrinkml prepare digits data/digits --source free-spoken-digit-dataset
    """
    from shrinkml.speech.corpora.librispeech import LEFT_OUT
    from shrinkml.speech.corpora.tasks import prepare_task

    prepared = prepare_task(task, folder, source, longest_s=longest, test_speakers=test_speakers)
    manifests = {split: str(path) for split, path in prepared.items()}
    if longest is not None:
        left_out = (folder / LEFT_OUT).read_text(encoding="utf-8").count("\n")
        note(f"{left_out} utterances longer than {longest:g} s are left out; they stand in {folder / LEFT_OUT}.")
    if as_json:
        print_json(manifests)
    else:
        print("\n".join(manifests.values()))


def import_data(
    layout: Annotated[Layout, typer.Argument(help="How the source is laid out.")],
    source: Annotated[Path, typer.Argument(help="A Kaldi data directory or a Hugging Face audiofolder.")],
    manifest: Annotated[Path, typer.Argument(help="The manifest to write.")],
    as_json: Json = False,
) -> None:
    """Write a manifest for speech that is laid out in another way.

    Example: shrinkml import kaldi kaldi/data/train train.jsonl
    """
    from shrinkml.speech.corpora.importers import IMPORTERS

    utterances = IMPORTERS[layout](source, manifest)
    if as_json:
        print_json({"manifest": str(manifest), "utterances": len(utterances)})
    else:
        print(f"{manifest}: {len(utterances)} utterances")
