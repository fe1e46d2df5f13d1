import subprocess
import sys

import pytest
from typer.main import get_command

from server.cli.main import COMMANDS, GROUPS, app, main

LINES = [(name,) for name in COMMANDS] + [
    (group, name) for group in GROUPS for name in get_command(app).commands[group].commands
]


def test_help_names_every_command(shrinkml):
    text = shrinkml("--help").out
    assert all(f"  {name} " in text for name in COMMANDS | GROUPS)


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_help_of_a_command_teaches_by_example(shrinkml, line):
    text = shrinkml(*line, "--help").out
    assert f"Example: shrinkml {' '.join(line)}" in text
    assert "--json" in text or line in (("serve",), ("worker",))


@pytest.mark.parametrize("name", GROUPS)
def test_help_of_a_group_names_its_commands(shrinkml, name):
    text = shrinkml(name, "--help").out
    assert all(f"  {line[1]} " in text for line in LINES if line[0] == name)


def test_the_entry_point_loads_nothing_slow():
    program = "import sys, server.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "numpy", "fastapi", "alembic", "sqlalchemy", "plotly"} & set(run.stdout.split())


def test_an_error_is_one_line_without_a_traceback_and_exits_with_2(shrinkml, tmp_path):
    code, out, err = shrinkml("submit", tmp_path / "none.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("error: no job file")
    assert err.count("\n") == 1


def test_a_server_that_is_not_there_is_a_failure_with_status_1(shrinkml, monkeypatch):
    monkeypatch.setattr("shrinkml.transport.FIRST_WAIT_S", 0.01)
    code, _, err = shrinkml("status", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert err.startswith("error: cannot reach http://127.0.0.1:9/")


def test_a_wrong_option_is_a_user_error(shrinkml):
    code, _, err = shrinkml("status", "--colour")
    assert code == 2
    assert "--colour" in err


def test_waiting_threads_do_not_spin(monkeypatch):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setattr("sys.argv", ["shrinkml", "--help"])
    with pytest.raises(SystemExit):
        main()
    import os

    assert os.environ["OMP_WAIT_POLICY"] == "passive"
