"""What int8 costs in each graph of an export alone: failures hide where only the whole is measured."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shrinkml.export import hearing
from shrinkml.export.recipe import RECIPE
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance


def wer_by_component(int8: Path, plain: Path, utterances: Sequence[Utterance]) -> dict[str, float]:
    """Graph ("encoder", "decoder") -> WER on `utterances` when it alone is in int8.

    Args:
        int8: an export in int8.
        plain: of the same recogniser in float.
        utterances: what is heard.

    Raises:
        AudioError: speech that cannot be read.
    """
    texts = [one.text for one in utterances]
    found = {}
    for graph in sorted(int8.glob("*.onnx"), reverse=True):  # the encoder first
        with TemporaryDirectory() as name:
            mixed = Path(name)
            (mixed / RECIPE).symlink_to((plain / RECIPE).resolve())
            for other in plain.glob("*.onnx"):
                chosen = graph if other.name == graph.name else other
                (mixed / other.name).symlink_to(chosen.resolve())
            found[graph.stem] = word_errors(texts, hearing.transcripts(OnnxRecogniser(mixed), utterances)).wer
    return found
