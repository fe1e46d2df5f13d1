import re
import shutil

import pytest
from typer.main import get_command

from server.cli.main import app
from shrinkml.models.families import FAMILIES
from shrinkml.models.huggingface.huggingface_families import HUGGINGFACE_SEQ2SEQ
from shrinkml.models.huggingface.onnx import seq2seq_graph
from shrinkml.speech.audio import read_audio
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import inspect, load, stored_parameters
from shrinkml.storage.compression_record import layers_of
from shrinkml.storage.model_card import elsewhere, write_card

ORIGINAL = {"wer": 0.1, "wer_ci95": [0.05, 0.2], "parameters": 1_000_000, "bytes": 4_000_000}


@pytest.fixture
def described(tiny_model_dir, tmp_path):
    """Writes the card of a copy of the tiny recogniser; its folder and the text."""
    folder = shutil.copytree(tiny_model_dir, tmp_path / "las")

    def describe(after):
        write_card(folder, layers=layers_of(load(folder)), on="24 dev utterances", before=ORIGINAL, after=after)
        return folder, (folder / "README.md").read_text()

    return describe


def blocks(card, language):
    return re.findall(rf"^```{language}\n(.*?)^```", card, re.DOTALL | re.MULTILINE)


def test_the_table_shows_both_models(described):
    folder, card = described({"wer": 0.15, "wer_ci95": [0.1, 0.25]})
    wer = "| word error rate | 10.00 % (5.00 to 20.00 %) | 15.00 % (10.00 to 25.00 %) | 5.00 points more WER |"
    assert wer in card
    parameters = stored_parameters(folder)
    times = f"{1_000_000 / parameters:.2f} times smaller"
    assert f"| parameters | 1,000,000 | {parameters:,} | {times} |" in card
    assert f"| bytes of weights | 4.00 MB | {inspect(folder).stored_bytes / 1e6:.2f} MB |" in card
    assert "24 dev utterances" in card


def test_a_vocabulary_that_is_whole_is_not_spoken_of(described):
    assert "trimmed" not in described({"wer": 0.15})[1]


def test_an_unknown_interval_is_left_out(described):
    assert "| 15.00 % |" in described({"wer": 0.15})[1]


def test_its_commands_work(described, tiny_data, capsys):
    folder, card = described({"wer": 0.15})
    audio = read_manifest(tiny_data["dev"])[0].audio
    (program,) = blocks(card, "python")
    exec(program.replace("path/to/this/folder", str(folder)).replace("audio.wav", str(audio)), {})
    model = load(folder)
    assert [capsys.readouterr().out.rstrip("\n")] == model.transcribe([model.features(read_audio(audio, 16_000))])
    for line in blocks(card, "sh"):
        _, name, *arguments = line.split()
        get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_told_where_else_it_runs(family):
    assert "shrinkml export path/to/this/folder --out onnx\n" in blocks(elsewhere(FAMILIES[family]), "sh")


def test_cards_of_transformers_name_the_kinds_that_are_exported():
    kinds = [kind.replace("_to_", "2").replace("_", "") for kind in seq2seq_graph.KNOWN]
    told = elsewhere(HUGGINGFACE_SEQ2SEQ).lower()
    assert all(kind in told for kind in kinds)
    assert "merge" in told
