import copy
import dataclasses

import pytest
import torch

from agents.pipeline import runtime_rows, stages
from agents.pipeline.materials import Materials
from agents.search.model_evaluator import shrunk
from agents.search.search_result import SearchResult, Trial
from agents.search.workspace import StoredDecompositions, read_problem
from agents.strategies.baselines.greedy import greedy_plan
from shrinkml.compression.sites import current_plan
from shrinkml.errors import CheckpointError, ConfigError, ExportError, PlanError, StoppedError
from shrinkml.export.exporter import Exporter
from shrinkml.measure.evaluation import word_error_rate
from shrinkml.measure.timed_process import TORCH
from shrinkml.measure.verification import FreshView
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.report.record import Int8Row
from shrinkml.storage import checkpoint


@pytest.fixture(scope="module")
def spec(tiny_job):
    return tiny_job()


@pytest.fixture(scope="module")
def materials(spec):
    return Materials(spec.model, spec.data, seed=0, should_stop=lambda: False)


@pytest.fixture(scope="module")
def half(materials, tmp_path_factory):
    """A checkpoint of the tiny recogniser with every layer at half of its break-even rank."""
    folder = tmp_path_factory.mktemp("half")
    pose(materials, folder, materials.original, 1.5)
    plan = CompressionPlan.of_ranks(
        {layer.name: max(1, layer.break_even_rank // 2) for layer in read_problem(folder).cost.layers}
    )
    stages.save_factorized(materials, folder / "model", start=materials.original, workspace=folder, plan=plan)
    return folder / "model"


def pose(materials, folder, start, ratio):
    return stages.pose_problem(
        materials, folder, start=start, ratio=ratio, factorizer="svd", cache=folder / "evaluations.sqlite"
    )


def test_the_pre_flight_tells_what_will_be_factorized_and_what_is_left_alone(materials, spec):
    found = stages.validate(materials, spec)
    parameters = [name for name, _ in materials.model.named_parameters(remove_duplicate=False)]
    assert sorted([*found["factorized"], *found["left_alone"], *found["tied"]]) == sorted(parameters)
    assert found["left_alone"]["output.bias"] == "a vector"
    assert not found["tied"]
    assert found["parameters"] == checkpoint.stored_parameters(materials.original)
    assert found["smallest_parameters"] < found["parameters"] / spec.goal.compression_ratio
    assert found["utterances"] == {"train": 48, "dev": 24, "test": 24}


def test_a_dense_copy_for_transformers_is_refused_before_any_work_where_the_model_is_none_of_it(materials, tiny_job):
    with pytest.raises(ExportError, match=r"of family 'las', which nothing but ShrinkML opens"):
        stages.validate(materials, tiny_job(export=["transformers"]))


def test_the_baseline_knows_how_much_work_a_second_of_audio_is(materials):
    found = stages.baseline(materials)
    assert found["dev"]["n_utterances"] == 24
    assert found["proxy"]["n_utterances"] == 12
    # The encoder joins 4 frames of 10 ms and then 2 of those: 12.5 products per second, in each direction.
    assert found["calls_per_s"]["encoder.0.weight_ih_l0"] == pytest.approx(12.5, rel=0.1)
    assert found["dev"]["macs_per_s"] > 12.5 * 4 * 32 * 160


def test_a_later_stage_can_only_lower_ranks(materials, half, tmp_path):
    pose(materials, tmp_path, half, 4.0)
    problem, ranks = read_problem(tmp_path), current_plan(checkpoint.load(half))
    assert problem.cost.dense_parameters == checkpoint.stored_parameters(materials.original)
    assert all(problem.menus[name][-1] == rank for name, rank in ranks.ranks.items())


def test_ratios_count_from_the_original_also_when_that_is_factorized_itself(spec, half, tmp_path):
    materials = Materials(str(half), spec.data, seed=0, should_stop=lambda: False)
    pose(materials, tmp_path, half, 1.25)
    problem = read_problem(tmp_path)
    assert problem.limit == pytest.approx(checkpoint.stored_parameters(half) / 1.25, abs=1)


def test_checkpoints_store_weights_as_the_job_says(spec, tmp_path):
    n_bytes = {}
    for dtype in ("float16", "float32", "auto"):
        materials = Materials(spec.model, spec.data, seed=0, should_stop=lambda: False, dtype=dtype)
        materials.save(materials.model, tmp_path / dtype)
        n_bytes[dtype] = checkpoint.inspect(tmp_path / dtype).stored_bytes
    assert n_bytes["float32"] == pytest.approx(2 * n_bytes["float16"], rel=0.1)
    assert n_bytes["auto"] == n_bytes[checkpoint.inspect(materials.original).dtype]


def test_the_winner_has_the_lowest_wer_then_the_smallest_model_then_comes_first():
    def result(seed, wer, parameters):
        trial = Trial(CompressionPlan(), wer, parameters)
        return SearchResult("random", seed, trial, (trial,))

    results = [result(0, 0.2, 10), result(1, 0.1, 30), result(2, 0.1, 20), result(3, 0.1, 20)]
    assert stages.winner(results).seed == 2


def test_the_plan_that_is_taken_is_the_best_on_all_of_dev_of_those_within_the_budget(materials, tmp_path, monkeypatch):
    pose(materials, tmp_path, materials.original, 1.5)
    cost = read_problem(tmp_path).cost
    layers = {layer.name: layer.break_even_rank for layer in cost.layers}
    good = CompressionPlan.of_ranks({name: max(1, rank // 2) for name, rank in layers.items()})
    bad, stopped = (CompressionPlan.of_ranks(dict.fromkeys(layers, rank)) for rank in (1, 2))
    too_large = CompressionPlan.of_ranks({next(iter(layers)): 1})

    def trial(plan, wer, heard=1.0):
        return Trial(plan, wer, cost.parameters(plan), heard)

    # The proxy set, here made up, says the opposite of dev.
    trials = [trial(too_large, 0.0), trial(stopped, 0.05, 0.5), trial(bad, 0.1), trial(good, 0.2), trial(bad, 0.1)]
    results = [SearchResult("random", 3, trials[2], tuple(trials)), SearchResult("ppo", 0, trials[2], (trials[2],))]
    found = stages.choose(materials, results, start=materials.original, workspace=tmp_path)
    assert CompressionPlan.from_json(found["plan"]) == good
    first, second = found["finalists"]
    assert (first["strategy"], first["seed"], first["proxy_wer"], second["proxy_wer"]) == ("random", 3, 0.2, 0.1)
    model = shrunk(materials.model, good, StoredDecompositions(tmp_path))
    assert first["dev_wer"] == word_error_rate(model, materials.dev) < second["dev_wer"]
    monkeypatch.setattr(materials, "should_stop", lambda: True)
    with pytest.raises(StoppedError):
        stages.choose(materials, results, start=materials.original, workspace=tmp_path)


def test_what_is_measured_is_what_is_stored(materials, half):
    measured = stages.measure(materials, half, materials.dev, {})
    assert measured["parameters"] == checkpoint.stored_parameters(half)
    assert measured["bytes"] == checkpoint.inspect(half).stored_bytes


def test_fine_tuning_goes_on_from_the_epoch_of_a_kill(materials, half, spec, tmp_path):
    class Killed(BaseException):
        pass

    def kill(epoch):
        if epoch.number == 2:
            raise Killed

    def finetune(target, on_epoch=lambda epoch: None):
        stages.finetune(
            materials, half, target, epochs=3, learning_rate=1e-3, settings=spec.finetune, on_epoch=on_epoch
        )

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    finetune(tmp_path / "a" / "model")
    with pytest.raises(Killed):
        finetune(tmp_path / "b" / "model", kill)
    epochs = []
    finetune(tmp_path / "b" / "model", lambda epoch: epochs.append(epoch.number))
    assert epochs == [2, 3]
    assert checkpoint.inspect(tmp_path / "a" / "model").digest == checkpoint.inspect(tmp_path / "b" / "model").digest
    assert {path.name for path in (tmp_path / "b").iterdir()} == {"model"}, "the training state is gone"


def test_a_sound_checkpoint_is_verified(materials, half):
    assert stages.verify(materials, half)["parameters"] == checkpoint.stored_parameters(half)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transcripts": ["open sesame"]}, "a fresh process hears"),
        ({"parameters": 1}, "holds 1 parameters; its plan says"),
        ({"packages": ["agents", "shrinkml"]}, "needed agents, shrinkml; the core must do"),
    ],
)
def test_a_fresh_process_that_finds_something_else_fails_the_job(materials, half, monkeypatch, change, message):
    def other_view(model, audio, *, threads):
        loaded = checkpoint.load(model)
        heard = [loaded.transcribe([features])[0] for features in materials.dev.features[: len(audio)]]
        sound = {"transcripts": heard, "parameters": checkpoint.stored_parameters(model), "packages": ["shrinkml"]}
        return FreshView(**(sound | change))

    monkeypatch.setattr(stages, "view_in_fresh_process", other_view)
    with pytest.raises(CheckpointError, match=message):
        stages.verify(materials, half)


def test_test_figures_come_with_transcripts_of_both_models(materials, half):
    found = stages.measure_on_test(materials, half, {})
    assert found["baseline"]["parameters"] > found["result"]["parameters"]
    assert len(found["samples"]) == stages.N_SAMPLES
    assert found["samples"][0]["reference"] == materials.test.texts[0]


def test_what_int8_costs_in_torch_is_measured_where_layers_are_large_enough_for_it(materials, spec, half):
    assert stages.hear_in_int8(materials, half) is None
    bundled = checkpoint.locate("reference/ctc")
    both = {"float32", "int8"}
    assert runtime_rows._in_torch(bundled, both).keys() == {(TORCH, "float32"), (TORCH, "int8")}
    assert runtime_rows._in_torch(half, both).keys() == {(TORCH, "float32")}
    large = Materials("reference/ctc", spec.data, seed=0, should_stop=lambda: False)
    found = stages.hear_in_int8(large, bundled)
    assert found.keys() == Int8Row.__annotations__.keys()
    assert found["wer"] == pytest.approx(word_error_rate(large.model, large.test), abs=0.05)


def test_speed_is_measured_for_one_utterance_and_for_batches(materials, half):
    found = stages.time_speed(materials, half)
    assert found["runs"] >= 5
    assert min(found["batch1"], found["batch16"]) > 0.0


def test_calibration_without_a_training_set_uses_the_proxy_set(spec):
    data = spec.data.model_copy(update={"train": None})
    materials = Materials(spec.model, data, seed=0, should_stop=lambda: False)
    assert materials.calibration is materials.proxy
    assert len(materials.train) == 0


def test_a_part_of_the_training_set_is_a_seeded_choice(spec):
    data = spec.data.model_copy(update={"train_utterances": 5})
    chosen = [Materials(spec.model, data, seed=seed, should_stop=lambda: False).train.texts for seed in (0, 0, 1)]
    assert len(chosen[0]) == 5
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_model_without_anything_to_gain_is_refused(materials, spec):
    goal = spec.goal.model_copy(update={"compression_ratio": 500.0})
    with pytest.raises(PlanError, match="the goal of 500x is out of reach"):
        stages.validate(materials, spec.model_copy(update={"goal": goal}))


def test_a_strict_job_names_the_matrices_that_cannot_be_factorized(materials, spec, monkeypatch):
    strict = spec.model_copy(update={"strict": True})
    assert "parameters" in stages.validate(materials, strict), "a LAS holds none"
    model = copy.deepcopy(materials.model)
    model.mixer = torch.nn.Conv2d(3, 4, 2)
    monkeypatch.setattr(materials, "model", model)
    assert stages.validate(materials, spec)["left_alone"]["mixer.weight"] == "no factorizer for Conv2d"
    message = r"the job is strict, .*\n  mixer\.weight \[4, 3, 2, 2\]: no factorizer for Conv2d$"
    with pytest.raises(PlanError, match=message):
        stages.validate(materials, strict)


def test_a_las_cannot_be_asked_to_learn_in_bfloat16(materials, spec):
    mixed = spec.model_copy(update={"finetune": spec.finetune.model_copy(update={"mixed_precision": True})})
    with pytest.raises(ConfigError, match="mixed_precision is true; allowed for a LAS: false"):
        stages.validate(materials, mixed)


def test_torch_keeps_its_threads(materials, half):
    before = torch.get_num_threads()
    stages.time_speed(materials, half)
    assert torch.get_num_threads() == before


def test_of_plans_that_seem_to_lose_nothing_the_least_expected_harm_comes_first(materials, tmp_path):
    pose(materials, tmp_path, materials.original, 1.1)
    problem = dataclasses.replace(read_problem(tmp_path), baseline_wer=0.5)
    name, menu = max(problem.menus.items(), key=lambda item: len(item[1]))
    low, high = (CompressionPlan.of_ranks({**greedy_plan(problem).ranks, name: rank}) for rank in (menu[0], menu[1]))
    trials = tuple(
        Trial(plan, wer, 1) for plan, wer in ((low, 0.1), (high, 0.4), (CompressionPlan.of_ranks({name: menu[2]}), 0.6))
    )
    problem = dataclasses.replace(problem, compression_ratio=1.0)
    found = stages.finalists([SearchResult("random", 0, trials[0], trials)], problem)
    assert [trial.plan for _, trial in found] == [high, low, trials[2].plan]


def test_an_export_that_computes_something_else_is_refused(materials, half, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "MOST_DIFFERENCE", 0.0)
    with pytest.raises(ExportError, match=r"the scores of the checkpoint and of \S+/onnx differ by .*; allowed: 0"):
        stages.export_onnx(materials, Exporter(half), tmp_path / "onnx")
