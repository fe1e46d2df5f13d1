"""What `make bench-pretrained` measures, on the bundled Whisper."""

import json

import pytest
import torch

from shrinkml.job import parse_job
from shrinkml.measure.evaluation import count_parameters, transcripts
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
            "goal": {"compression_ratio": 1.2},
            "vocabulary": TOKENS,
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
        bench.Subject(9, plan, factors=7),
        bench.Subject(9, plan, bits=4),
    ]
    assert len({subject.key for subject in every}) == len(every)
    assert bench.Subject(9, plan, factors=9).key == bench.Subject(9, plan).key


def test_parameters_are_counted_as_they_are_and_tokens_are_found_for_them(bench, subjects):
    small = bench.Subject(TOKENS)
    assert subjects.parameters(small) == count_parameters(subjects.model(small))
    most = subjects.parameters(small) + 3
    assert subjects.tokens_for(most) == TOKENS
    assert subjects.tokens_for(10**9) == subjects.original.tokens


def test_a_search_is_for_a_plan_of_the_layers_and_the_size_that_were_asked_for(bench, subjects):
    problem = subjects.problem(TOKENS, 1.2, evaluations=3, only=["*encoder.layers*"])
    chosen = subjects.searched("uniform", problem, TOKENS, evaluations=3)
    small = bench.Subject(TOKENS, CompressionPlan(chosen.plan.choices))
    assert subjects.parameters(subjects.original) / subjects.parameters(small) >= 1.2
    assert count_parameters(subjects.model(small)) == subjects.parameters(small)
    assert {name.split("encoder.")[0] for name, _ in small.plan} == {"network.model."}


def test_plans_pull_the_levers_of_the_job(bench, subjects):
    spec = subjects.spec.model_copy(update={"levers": ("rank", "identity")})
    both = bench.Subjects(spec, subjects.folder.parent, torch.float32)
    assert (subjects.levers, both.levers) == ("rank", "rank+identity")
    problems = [one.problem(TOKENS, 1.2, evaluations=3, only=["*encoder.layers*"]) for one in (subjects, both)]
    pulled = [any(choice.identity for one in problem.decisions for choice in one.choices) for problem in problems]
    assert pulled == [False, True]


def test_rounded_weights_have_as_many_values_in_each_group_as_bits_tell(bench):
    model = checkpoint.load("reference/whisper")
    small = bench.rounded(model, 3)
    before, after = bench.rounded_weights(model), bench.rounded_weights(small)
    for old, new in zip(before, after, strict=True):
        groups, old_groups = new.view(-1, bench.GROUP), old.view(-1, bench.GROUP)
        assert max(len(group.unique()) for group in groups[:50]) <= 8
        step = (old_groups.amax(1) - old_groups.amin(1)) / 7
        assert bool(((groups - old_groups).abs().amax(1) <= step + 1e-6).all())
    assert count_parameters(small) == count_parameters(model)
    assert small.network.proj_out.weight is small.network.model.decoder.embed_tokens.weight


def test_the_bytes_of_rounded_weights_are_those_of_codes_scales_and_zeros(bench):
    model = checkpoint.load("reference/whisper")
    n = sum(weight.numel() for weight in bench.rounded_weights(model))
    others = count_parameters(model) - n
    assert bench.rounded_bytes(model, 4) == n // 2 + n // 32 * 2 + n // 32 // 2 + 2 * others
