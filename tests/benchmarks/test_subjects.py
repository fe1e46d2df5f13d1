"""Measuring for `make bench-pretrained`, on the bundled Whisper."""

import json

import pytest
import torch

from shrinkml.compression.sites import model_cost
from shrinkml.job import parse_job
from shrinkml.measure.evaluation import count_parameters, transcripts
from shrinkml.plan.choice import Choice
from shrinkml.plan.compression_plan import CompressionPlan
from shrinkml.speech.manifest import read_manifest, write_manifest
from shrinkml.storage import checkpoint

TOKENS = 640


@pytest.fixture(scope="module")
def make(bench, tiny_data, tmp_path_factory):
    """Opens the same folder of measured subjects, as a benchmark that is run again does."""
    few = tmp_path_factory.mktemp("few")
    for split, manifest in tiny_data.items():
        write_manifest(few / f"{split}.jsonl", read_manifest(manifest)[:10])
    data = {split: str(few / f"{split}.jsonl") for split in tiny_data} | {"proxy_utterances": 6}
    spec = parse_job(
        {
            "model": "reference/whisper",
            "data": data,
            "goal": {"compression_ratio": 3.0, "resource": "bytes"},
            "levers": ["bits"],
            "search": {"evaluations": 4, "baselines": ["uniform"]},
        }
    )
    folder = tmp_path_factory.mktemp("measured")
    return lambda: bench.Subjects(spec, folder, torch.float32)


@pytest.fixture(scope="module")
def subjects(make):
    return make()


def test_what_is_heard_is_what_the_model_writes_in_the_order_of_the_speech(bench, subjects):
    materials = subjects.materials
    assert subjects.heard_on_dev(subjects.original) == transcripts(materials.model, materials.dev)
    small = bench.Subject(TOKENS)
    assert subjects.heard(small, "test") == transcripts(subjects.model(small), materials.test)


def test_what_was_heard_is_not_heard_again(bench, subjects, make):
    subjects.heard(subjects.original, "rest")
    path = subjects.folder / "heard" / f"{subjects.original.key}-rest-0.json"
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "texts": ["as it was written"]}))
    assert make().heard(subjects.original, "rest") == ["as it was written"]
    path.write_text(json.dumps(row))


def test_subjects_that_differ_have_files_of_their_own(bench):
    plan = CompressionPlan.of_ranks({"a": 1})
    every = [
        bench.Subject(9),
        bench.Subject(8),
        bench.Subject(9, plan),
        bench.Subject(9, CompressionPlan.of_ranks({"a": 2})),
    ]
    assert len({subject.key for subject in every}) == len(every)


def test_parameters_are_counted_as_they_are_and_tokens_are_found_for_them(bench, subjects):
    small = bench.Subject(TOKENS)
    assert subjects.parameters(small) == count_parameters(subjects.model(small))
    most = subjects.parameters(small) + 3
    assert subjects.tokens_for(most) == TOKENS
    assert subjects.tokens_for(10**9) == subjects.original.tokens


def test_a_search_is_for_a_plan_of_the_layers_and_the_size_that_were_asked_for(bench, subjects):
    task = bench.Task(1.1, only=("*encoder.layers*",))
    chosen = subjects.searched("uniform", subjects.problem(task, evaluations=3), evaluations=3)
    small = bench.Subject(subjects.original.tokens, CompressionPlan(chosen.plan.choices))
    assert subjects.parameters(subjects.original) / subjects.parameters(small) >= 1.1
    assert count_parameters(subjects.model(small)) == subjects.parameters(small)
    assert {name.split("encoder.")[0] for name, _ in small.plan} == {"network.model."}


def test_where_the_job_counts_the_same_its_levers_are_pulled_and_elsewhere_ranks_and_identity_blocks(bench, subjects):
    in_bytes, in_parameters = (
        subjects.problem(bench.Task(1.1, resource), evaluations=3) for resource in ("bytes", "parameters")
    )
    choices = [[choice for one in task.decisions for choice in one.choices] for task in (in_bytes, in_parameters)]
    assert [{bool(choice.bits) for choice in found} for found in choices] == [{True, False}, {False}]
    assert [{bool(choice.rank) for choice in found} for found in choices] == [{False}, {True, False}]
    tables = [
        any("embed_tokens" in one.name for one in task.decisions if len(one.choices) > 1)
        for task in (in_bytes, in_parameters)
    ]
    assert tables == [True, False], "the embedding bears fewer bits and no lower rank"


def test_bytes_are_those_of_the_checkpoint(bench, subjects, tmp_path):
    plan = CompressionPlan({layer.name: Choice(bits=4) for layer in model_cost(subjects.materials.model.module).layers})
    four = bench.Subject(subjects.original.tokens, plan)
    for subject in (subjects.original, four):
        subjects.materials.save(subjects.model(subject), tmp_path / subject.key)
        stored = checkpoint.inspect(tmp_path / subject.key).stored_bytes
        assert stored == pytest.approx(subjects.bytes(subject), rel=0.01, abs=4096), "but for names"
    assert subjects.bytes(subjects.original) > 3 * subjects.bytes(four)
