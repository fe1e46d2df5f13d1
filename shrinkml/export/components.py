"""What int8 costs in each graph of an export alone: failures hide where only the whole is measured."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from shrinkml.export import hearing
from shrinkml.export.recipe import RECIPE
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance

FLOAT = "float"  # the key of what all graphs reach in float


def wer_by_component(int8: Path, plain: Path, utterances: Sequence[Utterance]) -> dict[str, float]:
    """WER on `utterances` in FLOAT, and by graph ("encoder", "decoder") when it alone is in int8.

    Args:
        int8: an export in int8.
        plain: of the same recogniser in float.
        utterances: what is heard.

    Raises:
        AudioError: speech that cannot be read.
    """
    texts = [one.text for one in utterances]

    def wer_of(folder: Path) -> float:
        return word_errors(texts, hearing.transcripts(OnnxRecogniser(folder), utterances)).wer

    found = {FLOAT: wer_of(plain)}
    for graph in sorted(int8.glob("*.onnx"), reverse=True):  # the encoder first
        with TemporaryDirectory() as name:
            mixed = Path(name)
            (mixed / RECIPE).symlink_to((plain / RECIPE).resolve())
            for other in plain.glob("*.onnx"):
                chosen = graph if other.name == graph.name else other
                (mixed / other.name).symlink_to(chosen.resolve())
            found[graph.stem] = wer_of(mixed)
    return found
