import subprocess
import sys

import pytest

COMMAND = (
    "import sys; sys.modules[{package!r}] = None; sys.argv[0] = 'shrinkml'; from server.cli.entry import main; main()"
)


def run_without(package, *arguments):
    command = [sys.executable, "-c", COMMAND.format(package=package), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_it_is_the_command_line():
    done = run_without("nothing", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "transcribe" in done.stdout


def test_without_the_packages_of_a_command_line_it_says_what_to_install():
    done = run_without("typer", "transcribe", "reference/las", "hello.wav")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the command line needs typer, which is not installed; install shrinkml[server]\n"


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("transformers", ("transcribe", "reference/ctc", "a.wav"), "opening reference/ctc needs transformers, [hf]"),
        ("onnx", ("export", "reference/las", "--out", "small"), "the export needs onnx, [export]"),
        ("gymnasium", ("compress", "configs/demo.yaml"), "shrinkml compress needs gymnasium, [search]"),
        ("alembic", ("serve",), "shrinkml serve needs alembic, [server]"),
        ("httpx", ("status",), "the client needs httpx, [server]"),
        ("espeakng_loader", ("prepare", "commands", "data"), "shrinkml prepare needs espeakng_loader, [search]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_command_says_which_extra_it_needs(package, arguments, message):
    done = run_without(package, *arguments)
    said, extra = message.split(", ")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {said}, which is not installed; install shrinkml{extra}\n"
