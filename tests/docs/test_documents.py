"""The documents point to what is there: make targets, commands, links, names, jobs."""

import ast
import importlib
import json
import re

import pytest
from typer.main import get_command

from server.cli.main import COMMANDS, GROUPS, app
from server.http.examples import REQUEST
from tests.docs.documents import DOCUMENTS, ROOT, blocks, shell_lines

TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}


def lines():
    return [line.split() for block in blocks("sh") for line in shell_lines(block.text)]


def make_targets():
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_make_target_named_exists():
    named = {words[1] for words in lines() if words[0] == "make"}
    named |= set(re.findall(r"`make ([a-z-]+)", "".join(TEXTS.values())))
    assert {"demo", "test", "results", "help"} <= named
    assert named <= set(make_targets())


def test_every_documented_make_target_is_phony():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert set(make_targets()) == set(phony)


def command_lines():
    return [words[1:] for words in lines() if words[0] == "shrinkml"]


@pytest.mark.parametrize("words", command_lines(), ids=" ".join)
def test_every_command_line_parses(words):
    name, *arguments = words
    command = get_command(app).commands[name]
    if name in GROUPS:
        name, *arguments = arguments
        command = command.commands[name]
    command.make_context(name, arguments)  # raises on an unknown option, a missing or a wrong argument


def test_every_command_is_documented():
    groups = {(group, name) for group in GROUPS for name in get_command(app).commands[group].commands}
    assert {words[0] for words in command_lines()} == {*COMMANDS, *GROUPS}
    assert {tuple(words[:2]) for words in command_lines() if words[0] in GROUPS} == groups


def test_each_command_but_those_that_keep_their_terminal_speaks_json():
    commands = dict(get_command(app).commands)
    for group in GROUPS:
        commands |= commands.pop(group).commands
    silent = {name for name in commands if "--json" not in {o for p in commands[name].params for o in p.opts}}
    assert silent == {"serve", "worker"}
    assert "each but `serve` and `worker` takes `--json`" in (ROOT / "docs" / "command-line.md").read_text()


def links():
    """Every (file, heading) inside the repository that a document links to."""
    for document, text in TEXTS.items():
        for file, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            yield document.parent / file if file else document, heading


def anchors(text):
    """The names by which links call the headings of `text`."""
    return {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)
    }


@pytest.mark.parametrize(("file", "heading"), sorted(set(links())))
def test_every_link_inside_the_repository_leads_somewhere(file, heading):
    assert file.exists()
    assert not heading or heading in anchors(file.read_text(encoding="utf-8"))


def imports():
    """Every (module, name) that the Python examples import."""
    for block in blocks("python"):
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom):
                yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.parametrize(("module", "name"), sorted(set(imports())))
def test_the_python_examples_import_what_exists(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_the_job_sent_with_curl_is_the_example_of_the_service():
    body = re.search(r"-d '(\{.*?\})'", "".join(block.text for block in blocks("sh")), re.DOTALL)[1]
    assert json.loads(body) == REQUEST, "the example of the OpenAPI description, which is valid"


def test_the_manifest_line_has_known_keys_only():
    from shrinkml.speech.utterance import OPTIONAL, REQUIRED

    assert set(json.loads(blocks("json")[0].text)) == {*REQUIRED, *OPTIONAL}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.name)
def test_every_job_under_configs_is_valid(path):
    from shrinkml.job import read_job

    assert read_job(path).goal.compression_ratio > 1


def test_the_readme_can_be_read_in_minutes():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_every_document_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert all(f"docs/{path.name}" in readme for path in DOCUMENTS if path.parent.name == "docs")


def tree():
    """The lines of the tree in docs/architecture.md, as every package says of itself."""

    def lines(folder, depth):
        words, *_ = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())).split("\n\n")
        name = f"{'  ' * depth}{folder.name}/"
        yield f"{name:<23}{' '.join(words.split()).rstrip('.')}"
        for inner in sorted(folder.iterdir()):
            if (inner / "__init__.py").exists():
                yield from lines(inner, depth + 1)

    return [line for name in ("shrinkml", "envs", "agents", "server") for line in lines(ROOT / name, 0)]


def test_the_tree_shows_every_package_in_its_own_words():
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert "\n".join(["```", *tree(), "configs/"]) in text
