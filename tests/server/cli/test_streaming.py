import io
import json
import time
from types import SimpleNamespace

import pytest

import shrinkml as package
from server.cli.streaming import PIECE_S, STANDARD_INPUT, first_pass, hear, new_stream
from shrinkml.errors import ConfigError
from shrinkml.speech.audio import read_audio, write_flac
from shrinkml.speech.manifest import Utterance, write_manifest
from shrinkml.speech.scoring import word_errors
from shrinkml.storage.checkpoint import save
from tests.shrinkml.models.transducer.whistled import RATE_HZ, TEXTS, whistle, whistler

TEXT = TEXTS[5]


@pytest.fixture(scope="module")
def model():
    return whistler(prediction="tied")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    path = tmp_path_factory.mktemp("audio") / "whistle.flac"
    write_flac(path, whistle(TEXT), RATE_HZ)
    return path


def test_a_transcript_is_told_as_it_grows_and_at_the_end(model, audio):
    found = list(hear(model, audio))
    assert [heard.final for heard in found] == [False] * (len(found) - 1) + [True]
    assert [heard.text.split() for heard in found[:-1]] == [TEXT.split()[: n + 1] for n in range(len(found) - 1)]
    waveform = read_audio(audio, RATE_HZ)
    assert [found[-1].text] == model.transcribe([model.features(waveform)])
    assert found[-1].time_s == pytest.approx(len(waveform) / RATE_HZ)
    assert 0 < found[0].time_s < found[-1].time_s


def test_standard_input_holds_samples_of_16_bits(model, audio, monkeypatch):
    samples = (read_audio(audio, RATE_HZ) * 32_768).round().astype("<i2")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(samples.tobytes() + b"x")))
    assert list(hear(model, STANDARD_INPUT)) == list(hear(model, audio))


def test_in_real_time_a_file_is_heard_no_faster_than_it_plays(model, audio):
    start_s = time.monotonic()
    late = [time.monotonic() - start_s - heard.time_s for heard in hear(model, audio, real_time=True)]
    assert min(late) > -PIECE_S / 100


def test_a_recogniser_that_must_hear_all_first_is_refused(tiny_model_dir):
    with pytest.raises(ConfigError, match="'las' hears an utterance to its end before it writes; allowed: one"):
        new_stream(package.load(tiny_model_dir))
    with pytest.raises(ConfigError, match="'las' hears an utterance to its end before it writes"):
        first_pass(package.load(tiny_model_dir))


def test_the_command_line_streams(shrinkml, model, audio, tmp_path):
    save(model, tmp_path / "model")
    run = shrinkml("transcribe", tmp_path / "model", audio, "--streaming", "--json")
    rows = [json.loads(line) for line in run.out.splitlines()]
    assert [row["text"] for row in rows] == [heard.text for heard in hear(package.load(tmp_path / "model"), audio)]
    assert rows[-1]["final"]
    plain = shrinkml("transcribe", tmp_path / "model", audio, "--streaming")
    assert plain.out == f"{rows[-1]['text']}\n"
    assert plain.err.splitlines()[-1].endswith(f" s  {rows[-2]['text']}")


def test_the_command_line_measures_what_is_written_while_speech_is_heard(shrinkml, model, audio, tmp_path):
    save(model, tmp_path / "model")
    write_manifest(tmp_path / "test.jsonl", [Utterance(audio, 1.0, TEXT), Utterance(audio, 1.0, "red")])
    waveform = read_audio(audio, RATE_HZ)
    (streamed,) = model.first_pass().transcribe([model.features(waveform)])
    found = shrinkml("evaluate", tmp_path / "model", tmp_path / "test.jsonl", "--streaming", "--json")
    expected = word_errors([TEXT, "red"], [streamed] * 2)
    assert json.loads(found.out)["wer"] == pytest.approx(expected.wer)
