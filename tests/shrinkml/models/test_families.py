"""Every family of the table keeps the same contract, and a new one is one row."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import shrinkml
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import find_layers
from shrinkml.errors import CheckpointError, ExportError, UnknownNameError
from shrinkml.export.exporter import check_exportable, export
from shrinkml.export.recogniser import OnnxRecogniser
from shrinkml.models.families import FAMILIES, fresh_kinds, libraries, recognised, stored_names
from shrinkml.models.family import Family, FreshModel, Operations
from shrinkml.models.heads import ATTENTION, AttentionHead, transcript_head
from shrinkml.models.protocol import AsrModel
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.spelling import Spelling
from shrinkml.storage import model_folder
from shrinkml.storage.checkpoint import inspect, save
from shrinkml.storage.merging import check_mergeable
from shrinkml.storage.model_card import elsewhere
from shrinkml.storage.model_folder import look_into

ROOT = Path(__file__).parents[3]
TEXTS = ["turn on the light", "turn the radio off"]
SHAPES = {
    "las": {"n_mels": 20, "hidden": 16, "decoder": 16, "embedding": 8, "reductions": [2]},
    "transducer": {"n_mels": 20, "hidden": 16, "look_ahead": 8, "decoder": 16, "embedding": 8, "joint": 16},
    "transformer": {
        "n_mels": 20,
        "hidden": 16,
        "heads": 2,
        "feed_forward": 32,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "memory": 3,
    },
    "parakeet_ctc": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "num_mel_bins": 16,
        "subsampling_conv_channels": 8,
    },
    "whisper": {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "num_mel_bins": 20,
        "max_source_positions": 100,
        "max_target_positions": 40,
    },
}
# Tracing takes long; tests of the traced graphs ask the same of them.
TRACED_SLOWLY = [pytest.param(name, marks=pytest.mark.slow if row.library else ()) for name, row in FAMILIES.items()]
WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def drawn(kind, unit="word"):
    return fresh_kinds()[kind].operations().fresh(FreshModel(kind, SHAPES[kind], TEXTS, unit, seed=0)).eval()


@pytest.fixture(params=FAMILIES)
def family(request) -> Family:
    return FAMILIES[request.param]


@pytest.fixture
def model(family):
    """A model of the family, drawn afresh."""
    return drawn(family.fresh_kinds[0])


@pytest.fixture
def small(model):
    """The same, all of its layers at half of their break-even rank."""
    ranks = {layer.name: max(1, layer.break_even_rank // 2) for layer in find_layers(model.module)}
    return factorize(model, CompressionPlan.of_ranks(ranks), decompose(model.module, "svd", {}))


def scores_of(model):
    with torch.no_grad():
        (row,) = transcript_head(model.teacher_forced([model.features(WAVEFORM)], TEXTS[:1])).rows()
    return row


def test_a_model_of_the_family_is_a_recogniser_that_names_it(family, model):
    assert isinstance(model, AsrModel)
    assert isinstance(model, nn.Module)
    assert model.module is model
    assert model.family == family.name
    assert model.misfit(TEXTS[0]) is None
    assert model.spelling(TEXTS[0]).n_unknown == 0


def test_the_same_seed_draws_the_same_model(family, model):
    again = drawn(family.fresh_kinds[0])
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_its_loss_is_made_of_its_heads_and_has_a_gradient(family, model):
    learner = family.operations().learner(model, 0)
    learner.module.train()
    learner.loss(learner.teacher_forced([learner.features(WAVEFORM)], TEXTS[:1])).backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_a_factorized_model_comes_back_from_its_checkpoint(family, small, tmp_path):
    save(small, tmp_path / "small")
    folder, config = look_into(tmp_path / "small"), json.loads((tmp_path / "small" / "config.json").read_text())
    assert folder.family is family
    assert recognised(config) is family
    assert config["family"] == inspect(tmp_path / "small").family == family.stored_as
    assert config.keys() >= set(family.keys)
    back = shrinkml.load(tmp_path / "small")
    assert type(back) is type(small)
    assert torch.equal(scores_of(back), scores_of(small))
    features = [small.features(WAVEFORM)]
    assert back.transcribe(features) == small.transcribe(features)


def test_the_same_model_is_written_the_same(small, tmp_path):
    for name in ("one", "other"):
        save(small, tmp_path / name)
    assert inspect(tmp_path / "one").digest == inspect(tmp_path / "other").digest


def test_a_checkpoint_that_lacks_what_the_family_needs_is_refused(family, model, tmp_path):
    save(model, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != family.keys[-1]}))
    with pytest.raises(CheckpointError, match=rf"config\.json lacks {family.keys[-1]}"):
        shrinkml.load(tmp_path / "m")


@pytest.mark.parametrize("family", TRACED_SLOWLY, indirect=True)
def test_it_is_exported_and_hears_the_same(small, tmp_path):
    save(small, tmp_path / "small")
    check_exportable(small)
    export(tmp_path / "small", tmp_path / "onnx")
    assert OnnxRecogniser(tmp_path / "onnx").transcribe([WAVEFORM]) == small.transcribe([small.features(WAVEFORM)])


def test_a_library_opens_its_dense_copies_or_merging_is_refused(family, model, tmp_path):
    save(model, tmp_path / "m")
    copies = family.operations().dense_copies
    assert (copies is None) == (family.library is None)
    if copies is None:
        with pytest.raises(ExportError, match=f"is of family '{family.stored_as}', which nothing but ShrinkML opens"):
            check_mergeable(tmp_path / "m")
    else:
        check_mergeable(tmp_path / "m")
        (tmp_path / "dense").mkdir()
        copies.write(model, tmp_path / "dense", False)
        assert look_into(tmp_path / "dense").stock
        assert type(shrinkml.load(tmp_path / "dense")) is type(model)


def test_its_card_tells_where_else_it_runs(family):
    card = elsewhere(family)
    assert "shrinkml export" in card
    assert ("shrinkml merge" in card) == (family.library is not None)


def test_models_are_told_a_language_only_where_the_family_says_which(family, model, tmp_path):
    save(model, tmp_path / "m")
    assert family.language_settings(look_into(tmp_path / "m").config, "en") is None, "a checkpoint is told already"
    assert (family.language_settings({"model_type": family.fresh_kinds[0]}, "en") is None) == (not family.multilingual)


def test_names_lead_to_their_families():
    assert all(family.name == name for name, family in FAMILIES.items())
    assert list(fresh_kinds()) == ["las", "transducer", "transformer", "parakeet_ctc", "whisper"]
    assert stored_names() == ["las", "transducer", "transformer", "huggingface"]
    assert libraries() == ["transformers"]


def test_a_config_of_another_kind_is_of_no_family():
    assert recognised({"format": "shrinkml/1", "family": "rnnt"}) is None
    assert recognised({}) is None


def test_the_table_loads_no_torch():
    program = "import sys, shrinkml.models.families; assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


class Toy(nn.Module):
    """Says the same word, as often as its one number tells, whatever it hears."""

    family, longest_s, sample_rate_hz = "toy", None, 16_000

    def __init__(self):
        super().__init__()
        self.often = nn.Linear(4, 4)

    @property
    def module(self):
        return self

    def misfit(self, text):
        return None

    def spelling(self, text):
        return Spelling([0], 0)

    def features(self, waveform):
        return torch.ones(2, 4)

    def teacher_forced(self, features, texts):
        logits = torch.stack([self.often(one) for one in features])
        return {ATTENTION: AttentionHead(logits, torch.zeros(len(features), 2, dtype=torch.long))}

    def loss(self, heads):
        return heads[ATTENTION].loss()

    def transcribe(self, features, *, beam=1):
        return ["toy " * int(self.often.bias[0].item()) for _ in features]


def no_graphs(model):
    raise ExportError("a toy has no graphs; keep it in torch")


TOY = Family(
    name="toy",
    stored_as="toy",
    recognises=lambda config: config.get("family") == "toy",
    keys=("colour",),
    operations=lambda: Operations(
        describe=lambda model: {"colour": "red"},
        write=lambda model, folder: (folder / "colour.txt").write_text("red\n"),
        build=lambda config, folder: Toy(),
        fresh=lambda wanted: Toy(),
        draw=no_graphs,
    ),
    files=("config.json", "colour.txt"),
    fresh_kinds=("toy",),
)


def test_a_new_family_is_one_row(monkeypatch, tmp_path):
    monkeypatch.setitem(FAMILIES, "toy", TOY)
    model = Toy()
    nn.init.constant_(model.often.bias, 2.0)
    plan = CompressionPlan.of_ranks({"often.weight": 1})
    save(factorize(model, plan, decompose(model, "svd", {})), tmp_path / "toy")
    assert sorted(path.name for path in look_into(tmp_path / "toy").others) == ["colour.txt", "config.json"]
    back = shrinkml.load(tmp_path / "toy")
    assert back.transcribe([back.features(WAVEFORM)]) == ["toy toy "]
    assert inspect(tmp_path / "toy").plan == plan
    assert fresh_kinds()["toy"] is TOY
    with pytest.raises(ExportError, match="a toy has no graphs; keep it in torch"):
        check_exportable(back)
    (tmp_path / "toy" / "colour.txt").unlink()
    with pytest.raises(CheckpointError, match=r"toy is no checkpoint: colour\.txt missing"):
        look_into(tmp_path / "toy")


def test_a_model_of_no_family_is_neither_written_nor_exported(tmp_path):
    with pytest.raises(UnknownNameError, match="no model family named 'toy'; known: huggingface-ctc"):
        save(Toy(), tmp_path / "toy")
    with pytest.raises(UnknownNameError, match="no model family named 'toy'"):
        check_exportable(Toy())
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize("kind", ["parakeet_ctc", "whisper"])
def test_a_checkpoint_of_before_there_were_two_families_of_transformers_still_opens(kind, tmp_path):
    """Written by every version until now: the family is "huggingface", and the model type tells which."""
    model = drawn(kind)
    save(model, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["family"] == "huggingface"
    assert shrinkml.load(tmp_path / "m").family == model.family
    assert model_folder.look_into(tmp_path / "m").family.name == model.family
