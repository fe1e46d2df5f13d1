"""What the README tells people to type works, and what it points to is there."""

import ast
import importlib
import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from server.cli import COMMANDS, app
from shrinkml.job import parse_job

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def shell_lines():
    return [line.split("#")[0].split() for block in blocks("sh") for line in block.splitlines() if line.strip()]


def make_targets():
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_make_target_named_exists():
    named = {words[1] for words in shell_lines() if words[0] == "make"} | set(re.findall(r"`make ([a-z-]+)`", README))
    assert {"demo", "test", "results", "help"} <= named
    assert named <= set(make_targets())


def test_every_documented_make_target_is_phony():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(make_targets()) == set(phony)


def command_lines():
    return [words[1:] for words in shell_lines() if words[0] == "shrinkml"]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_parses(words):
    name, *arguments = words
    command = get_command(app).commands[name]
    command.make_context(name, arguments)  # raises on an unknown option, a missing or a wrong argument


def test_every_command_is_in_the_readme():
    assert {words[0] for words in command_lines()} == set(COMMANDS)


def test_each_command_but_serve_speaks_json():
    commands = get_command(app).commands
    silent = {name for name in COMMANDS if "--json" not in {o for p in commands[name].params for o in p.opts}}
    assert silent == {"serve"}
    assert "each but `serve` takes `--json`" in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_every_link_inside_the_repository_leads_somewhere(target):
    assert (ROOT / target).exists()


def imports():
    """Every (module, name) that the Python examples import."""
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize(("module", "name"), sorted(set(imports())))
def test_the_python_examples_import_what_exists(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_the_job_sent_with_curl_is_valid():
    body = re.search(r"-d '(\{.*?\})'", "".join(blocks("sh")), re.DOTALL)[1]
    assert parse_job(json.loads(body)).goal.compression_ratio == 5.0


def test_the_manifest_line_has_known_keys_only():
    from shrinkml.speech.utterance import OPTIONAL, REQUIRED

    assert set(json.loads(blocks("json")[0])) == {*REQUIRED, *OPTIONAL}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.name)
def test_every_job_under_configs_is_valid(path):
    from shrinkml.job import read_job

    assert read_job(path).goal.compression_ratio > 1
