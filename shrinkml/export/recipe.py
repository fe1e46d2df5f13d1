"""The recipe by which a program drives exported graphs: the content of recogniser.json."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from shrinkml.errors import ExportError

FORMAT = "shrinkml-onnx/4"
RECIPE = "recogniser.json"
ENCODER, DECODER = "encoder", "decoder"  # names of the graphs, whose files end in .onnx
LIMIT = "limit"  # the encoder's output that the decoder does not take


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that must be known beside the graphs.

    The encoder takes `waveforms` [batch, samples], float32 in [-1, 1], the shorter ones filled up with anything, and
    `lengths` [batch] in samples.

    With a decoder, it gives the state to start from, by the names in `state`, what else the decoder needs, and `limit`
    [batch], the most tokens to write, their end included. The decoder takes all of this but the limit, and a `token`
    [batch]; it gives logits [batch, vocabulary], then the next state in the order of `state`. It is given the `prompt`
    first, then each token that it writes: the likeliest one, those in `suppressed` left out.

    A decoder with a `blank` is a transducer's: a blank leads it to the next frame, its prompt back to the first one,
    with all labels that it was given.

    Without a decoder, the encoder gives `logits` [batch, frames, vocabulary] and `steps` [batch], the frames that
    count. The likeliest token of each frame is taken, of the same one in a row the first, and `blank` left out.

    Attributes:
        sample_rate_hz: of the waveforms.
        shortest_samples: waveforms must be at least as long.
        vocabulary: text of every token, with the space before it where it starts a word. A transcript is the texts of
            its tokens one after another, without the first space; those of the prompt, and the end, have none.
            Bytes of a letter that is split between tokens are lone surrogates (Python's "surrogateescape").
        longest_samples: waveforms must be no longer; None where any length will do.
        pads: whether waveforms of unequal length may be run together.
        windows: ascending numbers of samples, where the window depends on the longest waveform: those of which the same
            number is the first that is no less than they are long may be run together.
        prompt: what to give the decoder, token by token: the only one in each row, or of several (the languages) the
            likeliest by then.
        suppressed: tokens that are never written.
        suppressed_first: tokens that are not written first.
        end: the token that ends a transcript.
        ends_loops: whether a transcript that goes round and round ends after its first round.
        no_speech: the token that is likely behind the first of the prompt where nobody speaks; None without one.
        state: names of the decoder's state; none without a decoder.
        blank: the token between tokens; None with a decoder that is no transducer's.
    """

    sample_rate_hz: int
    shortest_samples: int
    vocabulary: tuple[str, ...]
    longest_samples: int | None = None
    pads: bool = True
    windows: tuple[int, ...] = ()
    prompt: tuple[tuple[int, ...], ...] = ()
    suppressed: tuple[int, ...] = ()
    suppressed_first: tuple[int, ...] = ()
    end: int | None = None
    ends_loops: bool = False
    no_speech: int | None = None
    state: tuple[str, ...] = ()
    blank: int | None = None

    def spoken(self, tokens: Iterable[int]) -> list[int]:
        """Those of `tokens` up to the first end that stand for text."""
        heard = takewhile(lambda token: token != self.end, tokens)
        return [token for token in heard if token != self.blank and self.vocabulary[token]]

    def text(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, up to the first end, blanks left out."""
        text = "".join(self.vocabulary[token] for token in self.spoken(tokens))
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()

    def write(self, folder: Path, facts: dict[str, Any]) -> None:
        """Writes recogniser.json, with `facts` of where the graphs come from."""
        content = {"format": FORMAT, **asdict(self), **facts}
        (folder / RECIPE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


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
        raise ExportError(
            f"{folder / RECIPE} has format {found!r}; this version reads {FORMAT!r}: export the checkpoint again"
        )
    return Recipe(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
