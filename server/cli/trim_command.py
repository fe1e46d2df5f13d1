"""The command that trims a vocabulary."""

from pathlib import Path
from typing import Annotated

import typer

from server.cli.local_commands import Model
from server.cli.output import Json, note, print_json


def trim(
    model: Model,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens to keep: a half is gentle, a quarter needs fine-tuning.")],
    texts: Annotated[
        Path, typer.Option(help="Text file: its words stay whole tokens. The more it is like the use, the better.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; a model that lies there is replaced.")],
    as_json: Json = False,
) -> None:
    """Write a Whisper with fewer tokens: less embedding, at a cost in WER.

    More than half of a small Whisper is the embedding of its tokens, of which one use needs a part, and low rank harms
    it. Kept are bytes and marks, the tokens of the words of --texts, and those that the model itself thinks likeliest;
    any text can still be written. Trim before factorizing. Measure what it costs with `shrinkml evaluate`; a job does
    all of it (vocabulary: auto). kept_tokens.json in the folder has the tokens' old ids.

    Example: shrinkml trim path/to/whisper --tokens 26000 --texts words.txt --out small
    """
    from shrinkml.models.trimmed import rank_vocabulary, trim_vocabulary, vocabulary_size
    from shrinkml.speech.text_lines import read_texts
    from shrinkml.storage.checkpoint import inspect, load, save, stored_parameters
    from shrinkml.storage.replacing import check_replaceable

    lines = read_texts(texts)
    check_replaceable(out)
    found, original = inspect(model), load(model)
    small = trim_vocabulary(original, rank_vocabulary(original, lines), tokens)
    save(small, out, dtype=found.dtype, provenance={"compressed_from": found.digest})
    sizes = vocabulary_size(original), vocabulary_size(small)
    parameters = stored_parameters(model), stored_parameters(out)
    if as_json:
        print_json({"folder": str(out), "tokens": sizes[1], "parameters": parameters[1], "original_tokens": sizes[0]})
    else:
        note(
            f"{out} holds {sizes[1]:,} of {sizes[0]:,} tokens and {parameters[1]:,} parameters, "
            f"{parameters[0] / parameters[1]:.2f} times fewer; `shrinkml evaluate` tells what that costs."
        )
