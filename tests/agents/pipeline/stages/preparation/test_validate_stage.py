import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agents.pipeline.materials import Materials
from agents.pipeline.stages.preparation.validate_stage import validate
from shrinkml.errors import ConfigError, ExportError, ManifestError, PlanError, UnknownNameError
from shrinkml.job import LayersSpec
from shrinkml.speech.manifest import read_manifest, write_manifest
from shrinkml.storage import checkpoint


def test_the_pre_flight_tells_what_will_be_factorized_and_what_is_left_alone(materials, spec):
    found = validate(materials, spec)
    parameters = [name for name, _ in materials.model.named_parameters(remove_duplicate=False)]
    assert sorted([*found.factorized, *found.left_alone, *found.tied]) == sorted(parameters)
    assert found.left_alone["output.bias"] == "a vector"
    assert not found.tied
    assert found.parameters == checkpoint.stored_parameters(materials.original)
    assert found.smallest_parameters < found.parameters / spec.goal.compression_ratio
    assert found.utterances == {"train": 48, "dev": 24, "test": 24}
    assert found.unknown_tokens == {"train": 0.0, "dev": 0.0}


def test_a_dense_copy_for_transformers_is_refused_before_any_work_where_the_model_is_none_of_it(materials, tiny_job):
    with pytest.raises(ExportError, match=r"of family 'las', which nothing but ShrinkML opens"):
        validate(materials, tiny_job(export=["transformers"]))


def test_activations_that_cannot_be_rounded_are_refused(materials, tiny_job):
    with pytest.raises(PlanError, match="activations of recurrent layers are not rounded"):
        validate(materials, tiny_job(activations=8))


def test_an_unknown_export_is_refused_before_data_and_model_are_read(spec):
    with pytest.raises(
        UnknownNameError, match=r"no export named 'onx'; known: onnx, optimum, sherpa-onnx, transformers"
    ):
        validate(None, spec.model_copy(update={"export": ("onx",)}))


def test_a_model_without_anything_to_gain_is_refused(materials, spec):
    goal = spec.goal.model_copy(update={"compression_ratio": 500.0})
    with pytest.raises(PlanError, match="the goal of 500x is out of reach"):
        validate(materials, spec.model_copy(update={"goal": goal}))


def test_a_strict_job_names_the_matrices_that_cannot_be_factorized(materials, spec, monkeypatch):
    strict = spec.model_copy(update={"strict": True})
    assert validate(materials, strict).parameters, "a LAS holds none"
    model = copy.deepcopy(materials.model)
    model.mixer = torch.nn.Conv2d(3, 4, 2)
    monkeypatch.setattr(materials, "model", model)
    assert validate(materials, spec).left_alone["mixer.weight"] == "no factorizer for Conv2d"
    message = r"the job is strict, .*\n  mixer\.weight \[4, 3, 2, 2\]: no factorizer for Conv2d$"
    with pytest.raises(PlanError, match=message):
        validate(materials, strict)


def test_layers_whose_units_may_be_cut_are_told_with_their_followers(materials, tiny_job):
    goal = {"compression_ratio": 1.04, "max_wer_increase": 1.0}
    found = validate(materials, tiny_job(goal=goal, steps=[1.04], levers=["units"]))
    recurrent = {"encoder.0.weight_%s_l0", "encoder.0.weight_%s_l0_reverse", "cell.weight_%s"}
    assert found.units == {it % "ih": it % "hh" for it in recurrent}
    assert {*found.factorized} == {*found.units, *found.units.values()}
    assert not found.whole
    assert not validate(materials, tiny_job()).units


def test_a_job_that_drops_alone_is_refused_where_nothing_passes_by_any_module(materials, tiny_job):
    with pytest.raises(PlanError, match="the job drops modules alone, and the model has none whose output is added"):
        validate(materials, tiny_job(levers=["drop"]))
    found = validate(materials, tiny_job(levers=["rank", "drop"]))
    assert not found.droppable
    assert "nothing would go on" in found.undroppable["cell.weight_hh"]
    assert not validate(materials, tiny_job()).undroppable


def test_a_job_that_cuts_units_alone_is_refused_where_there_are_none(materials, tiny_job):
    spec = tiny_job(levers=["units"], layers={"except": ["output.weight", "*_hh*"]})
    with pytest.raises(PlanError, match="the job cuts units alone, and neither two linear layers nor a recurrent one"):
        validate(materials, spec)


def test_a_layer_that_is_left_keeps_the_units_that_it_multiplies(materials, tiny_job):
    goal = {"compression_ratio": 1.04, "max_wer_increase": 1.0}
    spec = tiny_job(goal=goal, steps=[1.04], levers=["units"], layers={"except": ["key.weight"]})
    found = validate(materials, spec)
    assert {*found.units} == {"cell.weight_ih"}
    assert found.whole == {
        f"encoder.0.weight_ih_l0{end}": "key.weight is asked to be left as it is" for end in ("", "_reverse")
    }


def test_units_alone_do_not_reach_what_all_layers_would(materials, tiny_job):
    with pytest.raises(PlanError, match=r"the goal of 3x is out of reach: with the smallest choice in every layer"):
        validate(materials, tiny_job(levers=["units"], layers={"only": ["readout.*", "output.*"]}))


@pytest.mark.parametrize("with_train", [True, False])
def test_references_that_the_model_does_not_know_are_refused_where_it_learns_from_them(tiny_job, tmp_path, with_train):
    job = tiny_job()
    split = "train" if with_train else "dev"
    strange = [replace(u, text="xyzzy plugh") for u in read_manifest(Path(getattr(job.data, split)))]
    write_manifest(tmp_path / "strange.jsonl", strange)
    changes = {split: str(tmp_path / "strange.jsonl")} | ({} if with_train else {"train": None})
    spec = job.model_copy(update={"data": job.data.model_copy(update=changes)})
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
    message = (
        rf"100% of the tokens of {split} are unknown to the model, .* allowed: 20%\. Leave .*\n  .*: 'xyzzy plugh'"
    )
    with pytest.raises(ManifestError, match=message):
        validate(materials, spec)


def test_references_of_which_the_normaliser_leaves_nothing_are_refused(tiny_job, tmp_path):
    job = tiny_job(normaliser="whisper-english-no-spelling")
    first, *others = read_manifest(Path(job.data.dev))
    write_manifest(tmp_path / "dev.jsonl", [replace(first, text="uh"), *others])
    spec = job.model_copy(update={"data": job.data.model_copy(update={"dev": str(tmp_path / "dev.jsonl")})})
    materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)
    with pytest.raises(
        ManifestError, match=r"has the text 'uh', of which whisper-english-no-spelling/\S+ leaves no word"
    ):
        validate(materials, spec)


def test_an_unknown_normaliser_is_refused(spec):
    with pytest.raises(UnknownNameError, match="no normaliser named 'whisper'"):
        validate(None, spec.model_copy(update={"normaliser": "whisper"}))


def test_a_las_cannot_be_asked_to_learn_in_bfloat16(materials, spec):
    mixed = spec.model_copy(update={"finetune": spec.finetune.model_copy(update={"mixed_precision": True})})
    with pytest.raises(ConfigError, match="mixed_precision is true; allowed for a LAS: false"):
        validate(materials, mixed)


def test_layers_that_the_job_leaves_alone_are_listed_with_that_reason(materials, spec):
    layers = LayersSpec(only=["encoder", "c*", "output"], except_="cell.*_hh")
    found = validate(materials, spec.model_copy(update={"layers": layers}))
    everything = validate(materials, spec)
    assert set(found.factorized) < set(everything.factorized)
    assert all(name.startswith(("encoder", "c", "output")) and name != "cell.weight_hh" for name in found.factorized)
    assert found.left_alone["embedding.weight"] == "layers.only of the job does not name it (encoder, c*, output)"
    assert set(found.left_alone) | set(found.factorized) == {*everything.left_alone, *everything.factorized}
    assert found.smallest_parameters > everything.smallest_parameters


def test_a_goal_that_the_layers_named_cannot_reach_is_refused_at_once(materials, spec):
    with pytest.raises(PlanError, match=r"out of reach: .* in every layer but the \d+ that `layers` leaves alone"):
        validate(materials, spec.model_copy(update={"layers": LayersSpec(only="output")}))
