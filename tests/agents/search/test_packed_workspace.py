import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from agents.search import packed_workspace
from agents.search.evaluations.memory_evaluations import MemoryEvaluations
from agents.search.opened_workspace import context_of, open_workspace
from agents.search.packed_workspace import BLOCK_BYTES, PREFIX, open_packed, pack, remove_stale, unpack
from agents.search.workspace import own_files, read_problem, read_record
from envs.problem import CompressionProblem
from shrinkml.plan.compression_plan import CompressionPlan


def as_it_is(block):
    return block


@pytest.fixture
def folder(make_task):
    return Path(make_task("greedy").workspace)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder that temporary folders are made in."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def test_what_is_unpacked_is_the_same_workspace(folder, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        packed = pack(folder, as_it_is)
    assert f"packed the workspace {folder}: {len(packed.files)} files" in caplog.text
    (tmp_path / "unpacked").mkdir()
    unpack(packed, tmp_path / "unpacked", as_it_is)
    context, problem = context_of(folder), read_problem(folder)
    names = [path.name for path in own_files(folder)]
    before = [path.read_bytes() for path in own_files(folder)]
    model = folder / read_record(folder).model
    files = {path.name: path.read_bytes() for path in (tmp_path / "unpacked" / "model").iterdir()}
    assert files == {name: (model / name).read_bytes() for name in files}
    shutil.rmtree(folder)
    assert packed.context == context == context_of(tmp_path / "unpacked")
    assert read_problem(tmp_path / "unpacked") == problem
    assert [path.name for path in own_files(tmp_path / "unpacked")] == names
    assert [path.read_bytes() for path in own_files(tmp_path / "unpacked")] == before
    assert packed.n_bytes == sum(map(len, before)) + sum(map(len, files.values()))


def cut(problem: CompressionProblem) -> CompressionPlan:
    shapes = {decision.name: decision.shape for decision in problem.decisions}
    ranks = {name: max(1, out * inp // (out + inp) // 2) for name, (out, inp) in shapes.items()}
    return CompressionPlan.of_ranks(ranks)


def test_a_plan_is_judged_as_in_the_folder_when_the_folder_is_gone(folder, temporary):
    packed = pack(folder, as_it_is)
    opened = open_workspace(folder)
    plan = cut(opened.problem)
    expected = opened.evaluate(plan), opened.evaluate(CompressionPlan())
    assert expected[0] != expected[1]
    shutil.rmtree(folder)
    store = MemoryEvaluations()
    away = open_packed(packed, as_it_is, store)
    assert away.problem == opened.problem
    assert (away.evaluate(plan), away.evaluate(CompressionPlan())) == expected
    assert {of for of, _ in store.evaluations_made(packed.context)} == {plan.digest, CompressionPlan().digest}
    assert list(temporary.iterdir()) == [], "what was unpacked has no name any more"


def test_large_files_travel_in_blocks(folder, monkeypatch):
    whole = pack(folder, as_it_is)
    monkeypatch.setattr(packed_workspace, "BLOCK_BYTES", 1000)
    blocks = []
    packed = pack(folder, lambda block: blocks.append(block) or len(blocks) - 1)
    assert max(map(len, blocks[1:])) == 1000 < BLOCK_BYTES  # the first one is the record
    again = {file.name: b"".join(blocks[number] for number in file.blocks) for file in packed.files}
    assert again == {file.name: b"".join(file.blocks) for file in whole.files}


def test_a_block_that_does_not_come_leaves_nothing_behind(folder, temporary):
    def fail(block):
        raise ConnectionError("the network is down")

    packed = pack(folder, as_it_is)
    with pytest.raises(ConnectionError, match="the network is down"):
        open_packed(packed, fail, MemoryEvaluations())
    assert list(temporary.iterdir()) == []


def test_links_are_packed_as_the_files_that_they_lead_to(folder, tmp_path):
    model = folder / read_record(folder).model
    expected = (model / "config.json").read_bytes()
    linked = tmp_path / "linked"
    linked.mkdir()
    for path in model.iterdir():
        (linked / path.name).symlink_to(path.resolve())
    record = (folder / "workspace.json").read_text().replace(read_record(folder).model, str(linked))
    (folder / "workspace.json").write_text(record)
    packed = {file.name: b"".join(file.blocks) for file in pack(folder, as_it_is).files}
    assert packed["model/config.json"] == expected


def test_what_killed_processes_left_is_removed_unless_it_is_young(tmp_path):
    old, young, other = (tmp_path / name for name in (f"{PREFIX}old", f"{PREFIX}young", "other"))
    for path in (old, young, other):
        path.mkdir()
    for path in (old, other):
        os.utime(path, (0, 0))
    remove_stale(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([other, young])
