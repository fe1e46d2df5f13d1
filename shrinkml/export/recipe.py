"""How a program drives exported graphs: the content of recogniser.json."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from shrinkml.errors import ExportError

FORMAT = "shrinkml-onnx/1"
RECIPE = "recogniser.json"
ENCODER, DECODER = "encoder", "decoder"  # names of the graphs, whose files end in .onnx


@dataclass(frozen=True, slots=True)
class Recipe:
    """What must be known beside the graphs.

    The encoder takes `waveforms` [batch, samples], float32 in [-1, 1], the shorter ones filled up with anything, and
    `lengths` [batch] in samples. The decoder takes a `token` [batch], some of the encoder's outputs and, by the names
    in `state`, where it stands; it gives logits [batch, vocabulary], then the next state in the order of `state`. The
    encoder's outputs of those names are the state to start from.

    Attributes:
        sample_rate_hz: of the waveforms.
        shortest_samples: waveforms must be at least as long.
        start: the first token to give.
        end: the token that ends a transcript.
        state: names of the decoder's state.
        vocabulary: text of every token, with the space before it where it starts a word. A transcript is the texts of
            its tokens one after another, without the first space.
    """

    sample_rate_hz: int
    shortest_samples: int
    start: int
    end: int
    state: tuple[str, ...]
    vocabulary: tuple[str, ...]

    def text(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, up to the first end."""
        heard = takewhile(lambda token: token != self.end, tokens)
        return "".join(self.vocabulary[token] for token in heard).strip()

    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """Writes recogniser.json, with `facts` of where the graphs come from."""
        content = {"format": FORMAT, **asdict(self), **facts}
        (folder / RECIPE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_recipe(folder: Path) -> Recipe:
    """The recipe in the exported `folder`.

    Raises:
        ExportError: there is none, or it is of another version.
    """
    try:
        content = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        found = content.get("format")
        values = {name: content[name] for name in Recipe.__dataclass_fields__ if found == FORMAT}
    except (OSError, ValueError, AttributeError, KeyError) as error:
        raise ExportError(f"{folder} is no exported recogniser ({error!r}); shrinkml export writes one") from error
    if found != FORMAT:
        raise ExportError(f"{folder / RECIPE} has format {found!r}; this version reads {FORMAT!r}")
    frozen: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Recipe(**frozen)
