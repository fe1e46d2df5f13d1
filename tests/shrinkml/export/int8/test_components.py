import pytest

import shrinkml
from shrinkml.errors import StoppedError
from shrinkml.export.drawn import OUTPUT, draw
from shrinkml.export.exported_transcripts import transcripts
from shrinkml.export.graph import Storage
from shrinkml.export.int8.components import FLOAT, wer_by_component
from shrinkml.export.recipe import DECODER, ENCODER
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors


@pytest.fixture(scope="module")
def drawn(tiny_model_dir):
    return draw(shrinkml.load(tiny_model_dir))


@pytest.fixture(scope="module")
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])[:8]


def test_each_component_is_measured_alone_and_in_float(drawn, utterances):
    found = wer_by_component(drawn, frozenset(), utterances)
    assert list(found) == [FLOAT, ENCODER, DECODER, OUTPUT]
    with drawn.trials() as opened:
        heard = transcripts(opened(Storage(half=True)), utterances)
    expected = word_errors([one.text for one in utterances], heard).wer
    assert found[FLOAT] == expected


def test_what_is_kept_everywhere_loses_nothing(drawn, utterances):
    found = wer_by_component(drawn, frozenset(drawn.layers), utterances)
    assert set(found.values()) == {found[FLOAT]}


def test_it_stops_when_asked(drawn, utterances):
    with pytest.raises(StoppedError, match="stopped while an exported recogniser transcribed"):
        wer_by_component(drawn, frozenset(), utterances, should_stop=lambda: True)
