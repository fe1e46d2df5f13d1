"""Whole jobs whose goal counts something else than parameters."""

import json
from functools import partial

import pytest
import torch

from agents.pipeline.job_run import run_job
from agents.pipeline.price_lists import menus_of, price_list, read_prices, write_prices
from shrinkml.compression.factorize import factorize
from shrinkml.compression.factorizers import decompose
from shrinkml.compression.sites import current_plan, model_cost, sites_by_layer
from shrinkml.errors import PlanError, StoppedError
from shrinkml.job import LayersSpec
from shrinkml.measure.latency import latency_prices
from shrinkml.models.las.las import Las, LasConfig
from shrinkml.models.tokenizer import Tokenizer
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report import to_json
from shrinkml.speech.manifest import read_manifest
from shrinkml.storage.checkpoint import inspect, load, save, stored_parameters

NO_TRAINING = {"epochs": 0}
LARGE = LasConfig(n_mels=20, hidden=320, reductions=(2,), decoder=32, embedding=16, dropout=0.0)


@pytest.fixture(scope="module")
def large_model_dir(tmp_path_factory, tiny_data):
    """An untrained recogniser whose encoder is large enough to be faster at low rank."""
    folder = tmp_path_factory.mktemp("large") / "las"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        texts = [utterance.text for utterance in read_manifest(tiny_data["train"])]
        save(Las(LARGE, Tokenizer.from_texts(texts, "word")), folder)
    return folder


@pytest.fixture(autouse=True)
def timed_on_one_utterance(monkeypatch):
    """In two rounds instead of five: for tests, to be quick."""
    monkeypatch.setattr("agents.pipeline.price_lists.N_TIMED", 1)
    monkeypatch.setattr("agents.pipeline.price_lists.latency_prices", partial(latency_prices, rounds=2))


def job(tiny_job, resource, ratio, **changes):
    goal = {"compression_ratio": ratio, "resource": resource, "max_wer_increase": 1.0}
    return tiny_job(goal=goal, steps=[ratio], finetune=NO_TRAINING, **changes)


def test_a_job_for_fewer_macs_reaches_its_ratio_in_macs(tiny_job, tmp_path):
    report = to_json(run_job(job(tiny_job, "macs", 3.0), tmp_path))
    ratio = report["baseline"]["macs_per_s"] / report["result"]["macs_per_s"]
    assert ratio >= 2.999  # prices are whole numbers
    assert report["goal_met"]
    assert report["steps"][0]["reached_ratio"] == pytest.approx(ratio, rel=1e-3)
    assert report["steps"][0]["compression_ratio"] == report["compression_ratio"] != pytest.approx(ratio, rel=1e-4)
    plan = current_plan(load(tmp_path / "checkpoints" / "final"))
    assert plan.choice("embedding.weight").rank is None, "is looked up"


def test_a_job_for_fewer_bytes_goes_on_from_few_bits_and_its_file_is_as_small_as_its_plan(tiny_job, tmp_path):
    goal = {"compression_ratio": 4.0, "resource": "bytes", "max_wer_increase": 1.0}
    search = {"strategy": "divergence", "evaluations": 2, "baselines": ["evolution"]}
    spec = tiny_job(goal=goal, steps=[2.0, 4.0], finetune={"epochs": 1}, search=search)
    report = to_json(run_job(spec, tmp_path))
    first, final = (inspect(tmp_path / "checkpoints" / name) for name in ("step-2x", "final"))
    limit = report["baseline"]["bytes"] / 4.0
    assert report["goal_met"]
    assert final.stored_bytes <= limit + 4096 < first.stored_bytes
    assert report["result"]["bytes"] == final.stored_bytes
    assert all(any(choice.bits for _, choice in found.plan) for found in (first, final))
    assert any(entry["bits"] for row in report["menus"] for entry in row["entries"] if entry["chosen"])
    assert report["steps"][-1]["reached_ratio"] >= 4.0
    assert [row["lever"] for row in report["levers"]][:2] == ["rank", "bits"]
    assert abs(report["levers"][-1]["bytes"] - final.stored_bytes) <= 4096


@pytest.mark.slow
def test_a_job_prunes_further_in_each_step_and_its_file_is_as_small_as_its_plan(tiny_job, tmp_path):
    goal = {"compression_ratio": 4.0, "resource": "bytes", "max_wer_increase": 1.0}
    search = {"strategy": "divergence", "evaluations": 1, "baselines": []}
    spec = tiny_job(
        goal=goal, steps=[2.0, 4.0], finetune={"epochs": 1}, search=search, levers=["sparsity"], export=["onnx"]
    )
    report = to_json(run_job(spec, tmp_path))
    first, final = (inspect(tmp_path / "checkpoints" / name) for name in ("step-2x", "final"))
    assert report["goal_met"]
    assert abs(report["levers"][-1]["bytes"] - final.stored_bytes) <= 4096
    assert [row["lever"] for row in report["levers"]] == ["rank", "sparsity"]
    assert all(choice.sparsity >= first.plan.choice(name).sparsity for name, choice in final.plan)
    assert {layer["sparsity"] for layer in report["layers"]} > {0.9}
    model = load(tmp_path / "checkpoints" / "final").module
    zeros = {name: float((site.form.dense() == 0).float().mean()) for name, site in sites_by_layer(model).items()}
    assert all(zeros[name] == pytest.approx(choice.sparsity, abs=0.05) for name, choice in final.plan)


def test_a_job_cuts_units_further_in_each_step_and_leaves_what_has_none(tiny_job, tmp_path):
    search = {"strategy": "divergence", "evaluations": 1, "baselines": []}
    spec = tiny_job(
        goal={"compression_ratio": 1.04, "max_wer_increase": 1.0},
        steps=[1.02, 1.04],
        finetune={"epochs": 1},
        search=search,
        levers=["units"],
        layers={"only": ["readout.weight", "output.weight"]},
        export=["onnx"],
    )
    report = to_json(run_job(spec, tmp_path))
    first, final = (inspect(tmp_path / "checkpoints" / name) for name in ("step-1.02x", "final"))
    chosen = final.plan.choice("readout.weight")
    assert chosen.outputs < first.plan.choice("readout.weight").outputs
    assert final.plan.choice("output.weight") == chosen.following
    assert {name for name, _ in final.plan} == {"readout.weight", "output.weight"}
    assert load(tmp_path / "checkpoints" / "final").module.readout.bias.shape == (chosen.outputs,)
    assert report["steps"][-1]["reached_ratio"] >= 1.04
    cost = model_cost(load(tmp_path / "checkpoints" / "final").module)
    assert stored_parameters(tmp_path / "checkpoints" / "final") == cost.parameters(final.plan)
    assert [row["lever"] for row in report["levers"]] == ["rank", "units"]
    units = {layer["name"]: layer["units"] for layer in report["layers"] if layer["units"]}
    assert units == {"readout.weight": chosen.outputs, "output.weight": chosen.outputs}
    entries = [
        (menu["name"], entry["units"]) for menu in report["menus"] for entry in menu["entries"] if entry["chosen"]
    ]
    assert ("readout.weight", chosen.outputs) in entries


def has_fewer_units(plan):
    """True where the units of some recurrent layer were cut, of both of its matrices."""
    found = [(name, choice) for name, choice in plan if choice.outputs]
    assert all(plan.choice(name.replace("_ih", "_hh")).inputs == choice.outputs // 4 for name, choice in found)
    return bool(found)


def test_a_job_cuts_units_for_fewer_macs(tiny_job, tmp_path):
    search = {"strategy": "divergence", "evaluations": 1, "baselines": []}
    report = to_json(run_job(job(tiny_job, "macs", 1.01, levers=["units"], search=search), tmp_path))
    assert report["baseline"]["macs_per_s"] / report["result"]["macs_per_s"] >= 1.0099
    assert report["goal_met"]
    assert has_fewer_units(current_plan(load(tmp_path / "checkpoints" / "final")))


def test_a_job_rounds_what_its_cut_units_leave_and_its_file_is_as_small_as_its_plan(tiny_job, tmp_path):
    goal = {"compression_ratio": 3.9, "resource": "bytes", "max_wer_increase": 1.0}
    search = {"strategy": "divergence", "evaluations": 1, "baselines": []}
    spec = tiny_job(goal=goal, steps=[3.9], finetune={"epochs": 1}, search=search, levers=["bits", "units"])
    report, final = to_json(run_job(spec, tmp_path)), inspect(tmp_path / "checkpoints" / "final")
    assert all(choice.bits or choice.inputs for _, choice in final.plan)
    assert [row["lever"] for row in report["levers"]] in (["rank", "bits"], ["rank", "units", "bits"])
    assert abs(report["levers"][-1]["bytes"] - final.stored_bytes) <= 4096


def test_a_job_for_less_time_is_judged_by_the_speed_that_is_measured_and_goes_on_with_the_times_it_had(
    tiny_job, large_model_dir, tmp_path, monkeypatch
):
    search = {"strategy": "uniform", "evaluations": 1, "baselines": ["greedy"]}
    spec = job(tiny_job, "latency", 1.2, model=str(large_model_dir), search=search, levers=["rank", "units"])
    events = []

    def stop_in_search():
        return any(event.kind == "evaluated" for event in events)

    with pytest.raises(StoppedError):
        run_job(spec, tmp_path, on_event=events.append, should_stop=stop_in_search)
    prices = read_prices(tmp_path / "stages" / "prices")
    monkeypatch.setattr("agents.pipeline.price_lists.latency_prices", lambda *_, **__: pytest.fail("timed twice"))
    report = to_json(run_job(spec, tmp_path))
    assert prices.ratio(current_plan(load(tmp_path / "checkpoints" / "final"))) >= 1.2
    assert report["missed_by"]["compression_ratio"] == max(0.0, 1.2 - report["speedup"]["batch1"])


@pytest.mark.parametrize(("resource", "message"), [("macs", "cheaper"), ("latency", "faster")])
def test_a_ratio_out_of_reach_is_refused_before_any_work(tiny_job, tmp_path, resource, message):
    events = []
    with pytest.raises(PlanError, match=rf"the goal of 900x is out of reach: .* the model is \d+\.\d\dx {message}"):
        run_job(job(tiny_job, resource, 900.0), tmp_path, on_event=events.append)
    assert [event.stage for event in events if event.kind == "stage_started"] == ["validate", "transcripts", "prices"]


def test_bytes_are_those_of_the_checkpoint_against_those_that_the_original_stores(materials, tmp_path):
    prices = price_list(materials, "bytes")
    assert prices.original == materials.original_bytes
    assert abs(inspect(materials.original).stored_bytes - prices.original) <= 4096, "in half precision"
    plan = CompressionPlan({"query.weight": Choice(rank=4, bits=4), "key.weight": Choice(bits=8)})
    small = factorize(materials.model.module, plan, decompose(materials.model.module))
    materials.save(small, tmp_path / "small")
    assert abs(inspect(tmp_path / "small").stored_bytes - prices.price(plan)) <= 4096


def test_jobs_without_a_resource_or_a_dtype_are_written_as_before_there_was_one(tiny_job):
    assert "resource" not in tiny_job().model_dump_json()
    assert "dtype" not in tiny_job().model_dump_json()
    assert json.loads(job(tiny_job, "macs", 2.0).model_dump_json())["goal"]["resource"] == "macs"


@pytest.mark.parametrize("resource", ["parameters", "bytes", "macs", "latency"])
def test_a_job_prices_layers_that_it_leaves_alone_as_they_are(materials, resource):
    left = materials.left_by(LayersSpec(except_="encoder"))
    prices, menus = price_list(materials, resource, left), menus_of(materials, left)
    assert set(prices.sites) == set(menus)
    assert all(menus[name] == (None,) and prices.sites[name].dense >= 1 for name in left)


def test_layers_that_a_job_leaves_alone_are_not_listed_as_those_with_nothing_to_save(materials, tmp_path):
    left = materials.left_by(LayersSpec(except_="encoder"))
    priced = write_prices(materials, "macs", tmp_path, ratio=1.01, left=left)
    assert priced.left_alone == ["embedding.weight"], "it is looked up"
    assert priced.cheapest > sum(read_prices(tmp_path).sites[name].dense for name in left)
