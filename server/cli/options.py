"""Options that several commands share."""

from typing import Annotated

import typer

AllowHub = Annotated[
    bool,
    typer.Option(
        "--allow-hub",
        envvar="SHRINKML_ALLOW_HUB",
        help="Jobs may name models of the Hugging Face hub (hf:openai/whisper-tiny), which are then fetched.",
    ),
]
