"""The cost of int8 in each component of an export alone: failures hide where only the whole is measured."""

from collections.abc import Sequence

from shrinkml.events import ShouldStop
from shrinkml.export import exported_transcripts
from shrinkml.export.drawn import Drawn
from shrinkml.export.graph import Storage
from shrinkml.speech.normalisers import DEFAULT
from shrinkml.speech.scoring import word_errors
from shrinkml.speech.utterance import Utterance

FLOAT = "float"  # the key of what all components reach in float


def wer_by_component(
    drawn: Drawn,
    kept: frozenset[str],
    utterances: Sequence[Utterance],
    *,
    should_stop: ShouldStop = lambda: False,
    normaliser: str = DEFAULT,
) -> dict[str, float]:
    """WER on `utterances` in FLOAT, and by component ("encoder", "decoder", "output") when it alone is in int8.

    Args:
        drawn: the graphs of a recogniser.
        kept: layers that int8 leaves as they are.
        utterances: what is heard.
        should_stop: whether to end early.
        normaliser: name in NORMALISERS.

    Raises:
        AudioError: speech that cannot be read.
        StoppedError: `should_stop`, asked before every batch, said so.
    """
    texts, every = [one.text for one in utterances], frozenset(drawn.layers)

    with drawn.trials() as opened:

        def wer_of(storage: Storage) -> float:
            heard = exported_transcripts.transcripts(opened(storage), utterances, should_stop=should_stop)
            return word_errors(texts, heard, normaliser=normaliser).wer

        found = {FLOAT: wer_of(Storage(half=True))}
        for component, layers in drawn.components.items():
            found[component] = wer_of(Storage(half=True, int8=True, kept=(every - {*layers}) | kept))
    return found
