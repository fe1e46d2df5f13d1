from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agents.pipeline.exports.export_table import EXPORTS
from agents.strategies.strategies import STRATEGIES
from envs.rewards import REWARDS
from server.cli.options import AllowHub, Home, setting
from server.settings import words_of
from shrinkml.compression.factorizer_table import FACTORIZERS


@pytest.fixture
def run():
    app = typer.Typer()

    @app.command()
    def show(allow_hub: AllowHub = False, home: Home = Path("runs")) -> None:
        print(allow_hub, home)

    return lambda *arguments, **environment: CliRunner().invoke(app, arguments, env=environment).output.strip()


def test_nothing_is_fetched_unless_it_is_allowed(run):
    assert run() == "False runs"


def test_the_hub_is_allowed_by_an_option_or_by_the_environment(run):
    assert run("--allow-hub") == "True runs"
    assert run(SHRINKML_ALLOW_HUB="1") == "True runs"


def test_the_home_is_named_by_an_option_or_by_the_environment(run):
    assert run("--home", "mine") == run(SHRINKML_HOME="mine") == "False mine"


@pytest.mark.parametrize("command", ["compress", "submit"])
def test_help_of_a_command_that_takes_a_job_lists_the_names_in_it(shrinkml, command):
    listed = shrinkml(command, "--help").out.partition("Names in a job:")[2]
    words = listed.replace(",", " ").split()
    assert {*STRATEGIES, *REWARDS, *FACTORIZERS, *EXPORTS, "search.strategy", "search.reward", "factorizer"} <= set(
        words
    )


def test_a_row_that_is_added_is_listed(shrinkml, monkeypatch):
    monkeypatch.setitem(STRATEGIES, "toy", STRATEGIES["uniform"])
    assert "toy" in shrinkml("compress", "--help").out


def test_other_commands_list_none(shrinkml):
    assert "Names in a job" not in shrinkml("transcribe", "--help").out


def test_the_option_of_a_setting_has_its_words_and_its_variable():
    option = setting("port", "--door", min=1)
    assert (option.help, option.envvar, option.min) == (words_of("port"), "SHRINKML_PORT", 1)
