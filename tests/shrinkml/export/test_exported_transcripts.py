from dataclasses import replace

import pytest

from shrinkml.errors import AudioError, StoppedError
from shrinkml.export.exported_transcripts import BATCH_SIZE, transcripts
from shrinkml.export.exporter import export
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest


@pytest.fixture(scope="module")
def recogniser(tiny_model_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "onnx"
    export(tiny_model_dir, folder)
    return OnnxRecogniser(folder)


@pytest.fixture(scope="module")
def utterances(tiny_data):
    return read_manifest(tiny_data["dev"])


def test_transcripts_come_in_the_order_of_the_utterances(recogniser, utterances):
    assert len(utterances) > BATCH_SIZE, "several batches"
    alone = [recogniser.transcribe([read_audio(one.audio, 16_000)])[0] for one in utterances]
    assert transcripts(recogniser, utterances) == alone
    assert transcripts(recogniser, utterances[::-1]) == alone[::-1]
    assert transcripts(recogniser, utterances, at_once=3) == alone


def test_it_stops_between_batches(recogniser, utterances):
    asked = []
    with pytest.raises(StoppedError, match="stopped while an exported recogniser transcribed"):
        transcripts(recogniser, utterances, should_stop=lambda: asked.append(1) or len(asked) == 2)
    assert len(asked) == 2


def test_audio_that_is_not_there_is_named(recogniser, utterances, tmp_path):
    gone = replace(utterances[0], audio=tmp_path / "gone.flac")
    with pytest.raises(AudioError, match=r"gone\.flac"):
        transcripts(recogniser, [gone])
