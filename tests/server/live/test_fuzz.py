"""Ten thousand broken archives, manifests and configurations: each is refused in words, or taken; no other end.

Sound ones are changed at random, from a seed, in ways that a bad disk or a bad will would. A slow run makes all cases,
the usual one a few hundred of them.
"""

import hashlib
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from agents.strategies.model_based.kept_policy import SHAPES, read_policy
from server.jobs.admission import admit, check_paths
from server.jobs.model_facts import check_model
from shrinkml.download import fetch
from shrinkml.errors import ShrinkError
from shrinkml.job import parse_job, read_job
from shrinkml.speech.manifest import check_splits
from shrinkml.speech.text_lines import read_texts

FEW, ALL = 60, 2000  # cases of each kind; there are six
COUNTS = [pytest.param(FEW, id="few"), pytest.param(ALL, id="all", marks=pytest.mark.slow)]
ODD = [
    *("", "\0", "\ud800", "..", "/", "/etc/passwd", "../../x", "x" * 5000, "null", "\u2028", "é", "1e999"),
    *(True, False, None, -1, 0, 1.5, 2**63, 10**400, float("inf"), float("nan")),
    *([], {}, [[]], [None] * 300, {"a": {}}),
]


def bytes_changed(content: bytes, chance: random.Random) -> bytes:
    """`content` with some of its bytes flipped, cut, doubled or put in."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(changed) + 1)
        match chance.randrange(5):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << chance.randrange(8)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = changed[: chance.randrange(600)]
            case 3:
                changed[place:place] = chance.randbytes(chance.randrange(8))
            case _:
                del changed[place : place + chance.randrange(1, 600)]
    return bytes(changed)


def value_changed(value: object, chance: random.Random) -> object:
    """The JSON `value` with one odd value, key or omission somewhere in it."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        match chance.randrange(4):
            case 0:
                return {name: part for name, part in value.items() if name != key}
            case 1:
                return {**value, str(chance.choice(ODD)): chance.choice(ODD)}
            case _:
                return {**value, key: value_changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], value_changed(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def json_changed(value: object, chance: random.Random) -> bytes:
    """`value` as JSON, changed as a value or as bytes."""
    if chance.random() < 0.5:
        return bytes_changed(json.dumps(value).encode(), chance)
    return json.dumps(value_changed(value, chance)).encode()


def listing(folder: Path) -> set[str]:
    """Everything that lies in `folder`."""
    return {os.path.join(parent, name) for parent, folders, files in os.walk(folder) for name in (*folders, *files)}


def refused_or_taken(cases: int, kind: str, folder: Path, attempt: Callable[[random.Random], object]) -> None:
    """Make `cases` attempts, each of which may raise errors of ours alone and leave nothing new in `folder`."""
    before, n_taken = listing(folder), 0
    for i in range(cases):
        chance = random.Random(f"{kind} {i}")
        said = ""
        try:
            attempt(chance)
            n_taken += 1
        except ShrinkError as error:
            said = str(error)
        except Exception as error:
            raise AssertionError(f"case {i} of {kind}: {type(error).__name__}: {error}") from error
        assert len(said) < 30_000, f"case {i} of {kind} says too much"
        assert listing(folder) == before, f"case {i} of {kind} left something"
    assert n_taken < cases, "none was broken"


@pytest.mark.parametrize("cases", COUNTS)
def test_archives(cases, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in {"final/config.json": b"{}", "final/deep/model": bytes(600), "final/\u00e9": b"x"}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"final/link{kind.decode()}")
            link.type, link.linkname = kind, "final/config.json"
            tar.addfile(link)
    sound, folder = buffer.getvalue(), tmp_path / "downloads"
    folder.mkdir()

    def unpack(chance: random.Random) -> None:
        content = bytes_changed(sound, chance)
        listed = {"name": "final.tar", "checkpoint": "final", "url": "/x", "bytes": len(content)}
        listed["sha256"] = hashlib.sha256(content).hexdigest()
        transport = httpx.MockTransport(lambda request: httpx.Response(200, content=content))
        with httpx.Client(base_url="http://server", transport=transport) as client:
            target = fetch(client, listed, folder)
        for path in sorted(target.rglob("*"), reverse=True):
            assert path.resolve().is_relative_to(folder)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        target.rmdir()

    refused_or_taken(cases, "archives", tmp_path, unpack)


@pytest.mark.parametrize("cases", COUNTS)
def test_manifests(cases, data_folder, tmp_path):
    lines = [json.loads(line) for line in (data_folder / "dev.jsonl").read_text().splitlines()]
    manifest = data_folder / "fuzzed.jsonl"
    manifest.touch()
    job = parse_job({"model": "reference/las", "data": {"dev": str(manifest), "test": str(data_folder / "test.jsonl")},
                     "goal": {"compression_ratio": 2.0}})  # fmt: skip

    def read(chance: random.Random) -> None:
        manifest.write_bytes(b"\n".join(json_changed(chance.choice(lines), chance) for _ in range(3)))
        check_paths(job, [data_folder])
        check_splits({"dev": manifest, "test": data_folder / "test.jsonl"}, needs_text=chance.random() < 0.5)

    refused_or_taken(cases, "manifests", data_folder, read)
    manifest.unlink()


@pytest.mark.parametrize("cases", COUNTS)
def test_jobs(cases, data_folder, request_body):
    file = data_folder / "fuzzed.yaml"
    file.touch()
    body = {**request_body, "search": {"strategy": "random", "baselines": ["greedy"]}, "steps": [2.0, 3.0],
            "finetune": {"epochs": 1}, "layers": {"only": "*"}, "language": "en"}  # fmt: skip

    def read(chance: random.Random) -> None:
        if chance.random() < 0.5:
            admit(parse_job(value_changed(body, chance)), [data_folder])
        else:
            file.write_bytes(bytes_changed(yaml.safe_dump(body).encode(), chance))
            admit(read_job(file), [data_folder])

    refused_or_taken(cases, "jobs", data_folder, read)
    file.unlink()


@pytest.mark.parametrize("cases", COUNTS)
def test_models(cases, data_folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    sound = {path.name: path.read_bytes() for path in (data_folder / "model").iterdir()}
    for name, content in sound.items():
        (model / name).write_bytes(content)

    def look(chance: random.Random) -> None:
        name = chance.choice(["config.json", "config.json", "model.safetensors"])
        config = {"format": "shrinkml/1", "family": "las"}
        content = json_changed(config, chance) if name == "config.json" else bytes_changed(sound[name], chance)
        (model / name).write_bytes(content)
        try:
            check_model(str(model))
        finally:
            (model / name).write_bytes(sound[name])

    refused_or_taken(cases, "models", tmp_path, look)


@pytest.mark.parametrize("cases", COUNTS)
def test_policies(cases, tmp_path):
    policy = {
        name: [[0.5] * shape[-1]] * shape[0] if len(shape) == 2 else [0.5] * shape[0] for name, shape in SHAPES.items()
    }
    file = tmp_path / "policy.json"
    file.touch()

    def read(chance: random.Random) -> None:
        file.write_bytes(json_changed(policy, chance))
        read_policy(file)

    refused_or_taken(cases, "policies", tmp_path, read)


@pytest.mark.parametrize("cases", COUNTS)
def test_texts(cases, tmp_path):
    file = tmp_path / "words.txt"
    file.touch()

    def read(chance: random.Random) -> None:
        file.write_bytes(bytes_changed("wärmer\n\nlight ☃\n".encode() * chance.randrange(3), chance))
        read_texts(file)

    refused_or_taken(cases, "texts", tmp_path, read)
