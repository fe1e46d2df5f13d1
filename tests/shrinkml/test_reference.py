"""The bundled models, on commands that they have never heard."""

import subprocess
import sys

import pytest

import shrinkml
from shrinkml.export.exporter import export
from shrinkml.export.parity import compare
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.measure.evaluation import transcripts
from shrinkml.speech.corpora import commands
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors
from shrinkml.storage.bundle import bundled_names, model_folder
from shrinkml.training.dataset import load_dataset

N_UTTERANCES = 24
MOST_MEGABYTES = 40

# Transcribes files one by one with transformers alone.
READER = """
import sys, soundfile, torch
from transformers import AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor
folder, kind, *files = sys.argv[1:]
auto = AutoModelForCTC if kind == "ctc" else AutoModelForSpeechSeq2Seq
processor, model = AutoProcessor.from_pretrained(folder), auto.from_pretrained(folder)
for file in files:
    samples, rate = soundfile.read(file)
    inputs = processor(samples, sampling_rate=rate, return_tensors="pt")
    with torch.no_grad():
        tokens = model(**inputs).logits.argmax(-1) if kind == "ctc" else model.generate(**inputs)
    print(*(text.strip() for text in processor.batch_decode(tokens, skip_special_tokens=True)))
assert "shrinkml" not in sys.modules
"""


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands") / "data"
    return read_manifest(commands.prepare(folder, seed=11, train=1, dev=1, test=N_UTTERANCES)["test"])


@pytest.fixture(scope="module")
def heard(utterances):
    """Name of a bundled model -> what it hears."""
    models = {name: shrinkml.load(name) for name in bundled_names()}
    return {name: transcripts(model, load_dataset(model, utterances)) for name, model in models.items()}


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_model_hears_new_commands(name, heard, utterances):
    assert word_errors([utterance.text for utterance in utterances], heard[name]).wer < 0.05


@pytest.mark.parametrize("kind", ["ctc", "whisper"])
def test_transformers_opens_its_models_by_itself_and_hears_the_same(kind, heard, utterances):
    files = [str(utterance.audio) for utterance in utterances]
    command = [sys.executable, "-c", READER, str(model_folder(f"reference/{kind}")), kind, *files]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.splitlines() == heard[f"reference/{kind}"]


@pytest.mark.slow
@pytest.mark.parametrize("name", bundled_names())
def test_onnx_runtime_hears_a_hundred_new_commands_as_torch_does(name, tmp_path):
    folder = commands.prepare(tmp_path / "data", seed=12, train=1, dev=1, test=100)
    export(name, tmp_path / "onnx")
    found = compare(shrinkml.load(name), OnnxRecogniser(tmp_path / "onnx"), read_manifest(folder["test"]))
    assert (found.n_utterances, found.same_transcripts) == (100, 100)
    assert found.largest_difference < 1e-3


def test_the_bundle_is_small():
    sizes = [path.stat().st_size for name in bundled_names() for path in model_folder(name).iterdir()]
    assert sum(sizes) < MOST_MEGABYTES * 1e6
