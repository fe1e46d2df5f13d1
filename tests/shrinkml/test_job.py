import json
import os
from pathlib import Path

import pytest

from shrinkml.errors import ConfigError
from shrinkml.job import MAX_STEP, JobSpec, LayersSpec, parse_job, read_job, resolved


def job(**changes: object) -> dict:
    return {
        "model": "reference/las",
        "data": {"dev": "dev.jsonl", "test": "test.jsonl"},
        "goal": {"compression_ratio": 5.0},
        **changes,
    }


@pytest.mark.parametrize("ratio", [1.5, 2.5, 5.0, 12.0, 24.0])
def test_automatic_steps_ascend_to_the_goal_and_are_bounded(ratio):
    steps = parse_job(job(goal={"compression_ratio": ratio})).step_ratios
    times_smaller = [b / a for a, b in zip((1.0, *steps), steps, strict=False)]
    assert steps[-1] == ratio
    assert all(1.0 < times <= MAX_STEP * 1.001 for times in times_smaller)  # steps are rounded to three decimals


def test_steps_that_do_not_end_at_the_goal_are_refused():
    with pytest.raises(ConfigError, match=r"the last step \(4\.0\) must be goal\.compression_ratio \(5\.0\)"):
        parse_job(job(steps=[2.0, 4.0]))


def test_steps_that_do_not_ascend_are_refused():
    with pytest.raises(ConfigError, match="must ascend"):
        parse_job(job(steps=[3.0, 2.0, 5.0]))


def test_a_policy_is_read_from_where_the_job_lies(tmp_path):
    spec = parse_job(job(search={"strategy": "dyna", "policy": "runs/policy.json"}))
    assert resolved(spec, tmp_path).search.policy == str(tmp_path / "runs" / "policy.json")
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert "policy" not in parse_job(job()).model_dump()["search"]


def test_every_wrong_field_is_named_with_its_value():
    with pytest.raises(ConfigError) as caught:
        parse_job(job(goal={"compression_ratio": 0.5}, modle="typo"))
    assert "goal.compression_ratio: Input should be greater than 1 (got 0.5)" in str(caught.value)
    assert "modle: Extra inputs are not permitted" in str(caught.value)


def test_what_a_ratio_counts_is_named_or_refused():
    assert parse_job(job()).goal.resource == "parameters"
    spec = parse_job(job(goal={"compression_ratio": 2.0, "resource": "latency"}))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(
        ConfigError, match=r"goal\.resource: Input should be 'parameters', 'bytes', 'macs' or 'latency' \(got 'mem"
    ):
        parse_job(job(goal={"compression_ratio": 2.0, "resource": "memory"}))


@pytest.mark.parametrize("path", ["a\0b", "a" * 4097, ""], ids=["NUL", "too long", "empty"])
def test_a_path_that_no_file_can_have_is_refused(path):
    for field, change in {"model": {"model": path}, "data.dev": {"data": {"dev": path, "test": "t"}}}.items():
        with pytest.raises(ConfigError, match=rf"{field}: String should"):
            parse_job(job(**change))


@pytest.mark.parametrize("change", [{"seed": 2**31}, {"workers": 65}], ids=str)
def test_numbers_have_an_end(change):
    with pytest.raises(ConfigError, match="should be less than or equal to"):
        parse_job(job(**change))


def test_a_job_survives_json():
    spec = parse_job(job(steps=[2.0, 5.0]))
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_older_name_of_steps_means_the_same_job():
    older, newer = (parse_job(job(**{name: [2.0, 5.0]})) for name in ("stages", "steps"))
    assert older == newer
    assert older.steps == (2.0, 5.0)
    assert "stages" not in json.loads(older.model_dump_json())
    assert JobSpec.model_validate_json(newer.model_dump_json().replace('"steps"', '"stages"')) == newer


def test_both_names_of_steps_at_once_are_refused():
    with pytest.raises(ConfigError, match="stages: Extra inputs are not permitted"):
        parse_job(job(stages=[2.0, 5.0], steps=[2.0, 5.0]))


def test_relative_paths_are_relative_to_the_file(tmp_path: Path):
    (tmp_path / "job.yaml").write_text(
        "model: models/mine\ndata: {dev: ../dev.jsonl, test: /elsewhere/test.jsonl}\ngoal: {compression_ratio: 2}\n"
    )
    spec = read_job(tmp_path / "job.yaml")
    assert spec.model == str(tmp_path / "models" / "mine")
    assert spec.data.dev == str(tmp_path.parent / "dev.jsonl")
    assert spec.data.test == "/elsewhere/test.jsonl"


@pytest.mark.skipif(not os.path.islink("/proc/1/exe"), reason="needs /proc")
def test_a_link_that_may_not_be_read_is_a_path_as_it_stands():
    found = resolved(parse_job(job(model="/proc/1/exe")), Path())
    assert os.path.isabs(found.model)


def test_bundled_models_keep_their_name(tmp_path: Path):
    (tmp_path / "job.yaml").write_text(
        "model: reference/las\ndata: {dev: dev.jsonl, test: test.jsonl}\ngoal: {compression_ratio: 2}\n"
    )
    assert read_job(tmp_path / "job.yaml").model == "reference/las"


def test_a_missing_file_is_a_clear_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"no job file .*nothing\.yaml"):
        read_job(tmp_path / "nothing.yaml")


def test_broken_yaml_is_a_clear_error(tmp_path: Path):
    (tmp_path / "job.yaml").write_text("model: [unclosed\n")
    with pytest.raises(ConfigError, match="no valid YAML"):
        read_job(tmp_path / "job.yaml")


def test_the_last_stage_may_train_longer():
    data = {"train": "train.jsonl", "dev": "dev.jsonl", "test": "test.jsonl"}
    spec = parse_job(job(data=data, steps=[2.0, 5.0], finetune={"epochs": 1, "final_epochs": 4}))
    assert [spec.epochs_at(ratio) for ratio in spec.step_ratios] == [1, 4]
    same = parse_job(job(data=data, steps=[2.0, 5.0], finetune={"epochs": 2}))
    assert [same.epochs_at(ratio) for ratio in same.step_ratios] == [2, 2]


def test_without_training_speech_nothing_is_fine_tuned():
    assert parse_job(job()).epochs_at(5.0) == 0


def test_activations_are_rounded_to_bits_that_there_are():
    spec = parse_job(job(activations=8, activation_scales="power_of_two", export=["onnx"]))
    assert (spec.activations, spec.activation_scales) == (8, "power_of_two")
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert not {"activations", "activation_scales"} & parse_job(job()).model_dump().keys()
    with pytest.raises(ConfigError, match=r"activations: Input should be 8, 6 or 4 \(got 5\)"):
        parse_job(job(activations=5))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"activation_scales": "multiplier"}, "no activations are rounded: add activations: 8"),
        ({"activations": 8, "quantize": "int8", "export": ["onnx"]}, "allowed: one of them"),
        ({"activations": 8, "export": ["onnx", "optimum"]}, "export: optimum would not keep; allowed: onnx"),
    ],
)
def test_rounding_of_activations_that_nothing_would_come_of_is_refused(changes, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_job(job(**changes))


def test_what_is_not_exported_is_not_quantized():
    assert parse_job(job(export=["onnx"], quantize="int8")).quantize == "int8"
    with pytest.raises(ConfigError, match=r"quantize is int8, but exports for ONNX Runtime are what"):
        parse_job(job(quantize="int8", export=["transformers"]))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00junk", b"[" * 5000])
def test_a_file_that_is_no_yaml_is_a_clear_error(tmp_path: Path, content: bytes):
    (tmp_path / "job.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"no valid YAML.*like configs/demo\.yaml"):
        read_job(tmp_path / "job.yaml")


def test_a_folder_is_no_job_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="no job file"):
        read_job(tmp_path)


def test_a_wrong_learning_rate_is_one_problem_of_that_field():
    with pytest.raises(ConfigError) as raised:
        parse_job(job(finetune={"learning_rate": 5}))
    assert str(raised.value).count("finetune.learning_rate") == 1
    assert "'auto', or a number above 0 and at most 1 (got 5)" in str(raised.value)


def test_patterns_of_layers_are_one_or_several_and_keep_their_names_in_json():
    spec = parse_job(job(layers={"only": "encoder.*", "except": ["*.embed_tokens", "*.fc1"]}))
    assert (spec.layers.only, spec.layers.except_) == (("encoder.*",), ("*.embed_tokens", "*.fc1"))
    assert spec.model_dump(mode="json")["layers"] == {"only": ["encoder.*"], "except": ["*.embed_tokens", "*.fc1"]}
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert LayersSpec(except_="*.fc1") == LayersSpec.model_validate({"except": ["*.fc1"]})
    assert "layers" not in parse_job(job()).model_dump()


@pytest.mark.parametrize("wrong", [{"only": ""}, {"only": 3}, {"without": "*"}])
def test_patterns_that_are_none_are_refused(wrong):
    with pytest.raises(ConfigError, match=r"layers\.(only|without)"):
        parse_job(job(layers=wrong))


HALF = "\ud800"


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("language", {"language": HALF}),
        ("model", {"model": f"a{HALF}b"}),
        ("data.dev", {"data": {"dev": HALF, "test": "test.jsonl"}}),
        ("export", {"export": ["onnx", HALF]}),
        ("search.strategy", {"search": {"strategy": HALF}}),
        ("search.baselines", {"search": {"baselines": [HALF]}}),
        ("layers.only", {"layers": {"only": HALF}}),
        ("job", {HALF: 1}),
    ],
)
def test_half_characters_are_refused_in_every_field(field, changes):
    with pytest.raises(ConfigError, match=rf"{field}: .*(half of a character|unable to parse)") as caught:
        parse_job(job(**changes))
    assert str(caught.value).encode("utf-8")


def test_half_characters_of_yaml_are_refused(tmp_path):
    (tmp_path / "job.yaml").write_text(json.dumps(job(language=HALF)))
    with pytest.raises(ConfigError, match=r"language: .*half of a character"):
        read_job(tmp_path / "job.yaml")


def test_a_language_that_yaml_takes_for_a_truth_value_is_to_be_quoted(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(json.dumps(job())[:-1] + ", language: no}")
    with pytest.raises(
        ConfigError, match=r"language: .*YAML reads no, .* as false; put it in quotes, as in 'no' \(got False"
    ):
        read_job(path)
    path.write_text(json.dumps(job())[:-1] + ", language: 'no'}")
    assert read_job(path).language == "no"


@pytest.mark.parametrize("vocabulary", ["auto", 13_000])
def test_a_trimmed_vocabulary_is_told_in_json_and_a_whole_one_is_not(vocabulary, tmp_path):
    spec = parse_job(job(vocabulary=vocabulary, vocabulary_texts="words.txt"))
    assert spec.trims
    assert resolved(spec, tmp_path).vocabulary_texts == str(tmp_path / "words.txt")
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    whole = parse_job(job())
    assert not whole.trims
    assert not {"vocabulary", "vocabulary_texts"} & whole.model_dump().keys()


@pytest.mark.parametrize("vocabulary", ["most", 0, 2.5])
def test_a_vocabulary_is_all_auto_or_a_number(vocabulary):
    with pytest.raises(ConfigError, match=r"vocabulary: .*allowed: 'all', 'auto', or a number of tokens, 1 or more"):
        parse_job(job(vocabulary=vocabulary))


def test_texts_of_a_vocabulary_that_stays_whole_are_refused():
    with pytest.raises(
        ConfigError, match="vocabulary_texts is given, and vocabulary is all; allowed: vocabulary: auto"
    ):
        parse_job(job(vocabulary_texts="words.txt"))


@pytest.mark.parametrize("resource", ["macs", "latency"])
def test_a_trimmed_vocabulary_is_counted_in_parameters(resource):
    goal = {"compression_ratio": 5.0, "resource": resource}
    with pytest.raises(ConfigError, match=rf"goal\.resource {resource}; allowed .*: goal\.resource: parameters"):
        parse_job(job(vocabulary="auto", goal=goal))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": True}, "seed: .*is true, which is no number"),
        ({"goal": {"compression_ratio": False}}, "goal.compression_ratio: .*is false, which is no number"),
        ({"steps": [True, 5.0]}, "steps: .*is true, which is no number"),
        (
            {"data": {"dev": "d", "test": "t", "train_utterances": 10**400}},
            "train_utterances: .*is a number beyond 9007",
        ),
        ({"goal": {"compression_ratio": float("nan")}}, "goal.compression_ratio: .*finite number"),
        ({"steps": [float("inf")]}, "steps.*finite number"),
        ({"search": {"strategy": "x" * 65}}, "search.strategy: .*at most 64 characters"),
    ],
)
def test_a_number_is_a_number_that_can_be_kept_and_a_name_is_short(changes, message):
    with pytest.raises(ConfigError, match=message):
        parse_job(job(**changes))


def test_a_truth_value_is_one():
    assert parse_job(job(strict=True)).strict
    assert not parse_job(job(finetune={"distill": False})).finetune.distill


def test_a_job_pulls_the_levers_that_save_what_it_counts_unless_it_names_some():
    assert parse_job(job()).pulled_levers == ("rank",)
    in_bytes = {"compression_ratio": 2.0, "resource": "bytes"}
    assert parse_job(job(goal=in_bytes)).pulled_levers == ("rank", "identity", "bits", "sparsity")
    assert parse_job(job(goal=in_bytes, levers=["bits"])).pulled_levers == ("bits",)
    assert parse_job(job(levers=["rank", "identity"])).pulled_levers == ("rank", "identity")
    assert "levers" not in parse_job(job()).model_dump_json()


@pytest.mark.parametrize("levers", [["bits"], ["rank", "bits"], ["heads"]])
def test_levers_that_save_nothing_of_what_is_counted_are_refused(levers):
    with pytest.raises(
        ConfigError, match=rf"levers: {levers[-1]} would save no parameters; allowed with .*: parameters: rank"
    ):
        parse_job(job(levers=levers))


def test_no_levers_at_all_are_refused():
    with pytest.raises(ConfigError, match=r"levers: .* at least 1 item"):
        parse_job(job(levers=[]))
