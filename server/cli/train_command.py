"""The command that makes a recogniser to compress."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.local_commands import stop_on_interrupt
from server.cli.output import INTERRUPTED, Json, note, print_json
from shrinkml.errors import StoppedError


def train(
    recipe: Annotated[Path, typer.Argument(help="How to train, as YAML; see configs/train/commands.yaml.")],
    out: Annotated[Path, typer.Option(help="Folder of the checkpoint.")],
    as_json: Json = False,
) -> None:
    """Train a recogniser from nothing.

    Ctrl-C stops after the present step; the same command goes on from the last finished epoch.

    Example: shrinkml train configs/train/digits.yaml --out runs/models/digits
    """
    from shrinkml.training.training_job import read_recipe, train_from_recipe

    try:
        with stop_on_interrupt() as should_stop:
            figures = train_from_recipe(
                read_recipe(recipe),
                out,
                on_epoch=lambda epoch: note(f"epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.3f}"),
                should_stop=should_stop,
            )
    except StoppedError as stopped:
        note(f"Stopped ({stopped}). The same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        print_json(figures)
        return
    for split, result in figures.items():
        low, high = result["wer_ci95"]
        print(f"{split}: {result['wer']:.2%} WER (95 %: {low:.2%} to {high:.2%}), {result['cer']:.2%} CER")
    print(f"{out}: {figures['test']['parameters']:,} parameters")
