"""The bundled models, on commands that they have never heard."""

import subprocess
import sys

import pytest

import shrinkml
from shrinkml.bundle import bundled_names, model_folder
from shrinkml.dataset import load_dataset
from shrinkml.evaluation import transcripts
from shrinkml.speech import commands
from shrinkml.speech.manifest import read_manifest
from shrinkml.speech.scoring import word_errors

N_UTTERANCES = 40
MOST_MEGABYTES = 40

# Transcribes files one by one with transformers alone.
READER = """
import sys, soundfile, torch
from transformers import AutoModelForCTC, AutoProcessor
folder, *files = sys.argv[1:]
processor, model = AutoProcessor.from_pretrained(folder), AutoModelForCTC.from_pretrained(folder)
for file in files:
    samples, rate = soundfile.read(file)
    with torch.no_grad():
        tokens = model(**processor(samples, sampling_rate=rate, return_tensors="pt")).logits.argmax(-1)
    print(*processor.batch_decode(tokens))
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


def test_transformers_opens_the_ctc_model_by_itself_and_hears_the_same(heard, utterances):
    files = [str(utterance.audio) for utterance in utterances]
    command = [sys.executable, "-c", READER, str(model_folder("reference/ctc")), *files]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert run.stdout.splitlines() == heard["reference/ctc"]


def test_the_bundle_is_small():
    sizes = [path.stat().st_size for name in bundled_names() for path in model_folder(name).iterdir()]
    assert sum(sizes) < MOST_MEGABYTES * 1e6
