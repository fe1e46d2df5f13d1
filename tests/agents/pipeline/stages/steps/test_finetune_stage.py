import shutil

import pytest
import torch

from agents.pipeline.materials import Materials
from agents.pipeline.stages.steps.finetune_stage import Listeners, finetune, mixes_precision
from agents.pipeline.teaching import mean_loss
from shrinkml.job import DataSpec, FinetuneSpec
from shrinkml.speech.manifest import read_manifest, write_manifest
from shrinkml.storage import checkpoint
from shrinkml.training.guard import NOISE, NOISE_SLACK
from shrinkml.training.learning_rate import learning_rate_for
from shrinkml.training.rate_trial import SHARES, best_rate


def test_fine_tuning_goes_on_from_the_epoch_of_a_kill(materials, half, spec, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch):
        if epoch.number == 2:
            raise Killed

    def trained(target, on_epoch=lambda epoch: None):
        listeners = Listeners(on_epoch=on_epoch)
        finetune(materials, half, target, epochs=3, lost=0.0, settings=spec.finetune, listeners=listeners)

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    trained(tmp_path / "a" / "model")
    with pytest.raises(Killed):
        trained(tmp_path / "b" / "model", kill)
    epochs = []
    trained(tmp_path / "b" / "model", lambda epoch: epochs.append(epoch.number))
    assert epochs == [2, 3]
    assert checkpoint.inspect(tmp_path / "a" / "model").digest == checkpoint.inspect(tmp_path / "b" / "model").digest
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"model"}, "the training state is gone"


def test_all_utterances_that_pass_are_told_of(materials, half, spec, tmp_path):
    passed = []
    listeners = Listeners(on_passed=lambda *counts: passed.append(counts))
    finetune(materials, half, tmp_path / "model", epochs=2, lost=0.0, settings=spec.finetune, listeners=listeners)
    n = len(materials.train)
    assert {n_total for _, n_total in passed} == {3 * n}  # the teacher's, and two epochs
    counts = [n_done for n_done, _ in passed]
    assert counts == sorted(counts)
    assert counts[-1] == 3 * n


@pytest.mark.parametrize("times", [100, 1000])
def test_a_rate_far_too_high_does_not_ruin_the_model(materials, half, spec, tmp_path, times):
    settings = spec.finetune.model_copy(update={"learning_rate": min(1.0, times * learning_rate_for(0.0))})
    setbacks = []
    listeners = Listeners(on_setback=setbacks.append)
    done = finetune(materials, half, tmp_path / "model", epochs=2, lost=0.0, settings=settings, listeners=listeners)
    assert done.setbacks == len(setbacks) > 0
    assert setbacks[-1].rate <= settings.learning_rate / 2
    before, after = (mean_loss(checkpoint.load(model), materials.held_out) for model in (half, tmp_path / "model"))
    assert after <= NOISE * before + NOISE_SLACK


@pytest.mark.parametrize("mixed", [False, True])
def test_models_of_transformers_try_rates_first_and_remember_them(tmp_path, tiny_data, mixed):
    write_manifest(tmp_path / "train.jsonl", read_manifest(tiny_data["train"])[:4])
    data = DataSpec(train=str(tmp_path / "train.jsonl"), dev=str(tiny_data["dev"]), test=str(tiny_data["test"]))
    speech = Materials("reference/whisper", data, seed=0, should_stop=lambda: False)
    settings = FinetuneSpec(epochs=1, distill=False, mixed_precision=mixed)
    tried = []

    def tuned():
        listeners = Listeners(on_rates=tried.append)
        return finetune(
            speech, speech.original, tmp_path / "model", epochs=1, lost=0.0, settings=settings, listeners=listeners
        )

    done = tuned()
    assert [trial.rate for trial in tried[0]] == [share * learning_rate_for(0.0) for share in SHARES]
    assert done.learning_rate == best_rate(tried[0])
    shutil.rmtree(tmp_path / "model")
    assert tuned() == done
    assert tried[1] == tried[0]


@pytest.mark.parametrize(
    ("model", "has", "asked", "mixes"),
    [
        ("reference/whisper", True, "auto", True),
        ("reference/whisper", False, "auto", False),
        ("reference/whisper", False, True, True),
        ("reference/whisper", True, False, False),
        ("reference/las", True, "auto", False),  # its LSTM kernel computes in float32 alone
    ],
)
def test_bfloat16_is_taken_where_asked_or_where_processor_and_model_can(monkeypatch, model, has, asked, mixes):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": has})
    loaded = checkpoint.load(checkpoint.locate(model))
    assert mixes_precision(loaded, FinetuneSpec(mixed_precision=asked)) is mixes
