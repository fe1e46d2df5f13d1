import pytest
import typer
from typer.testing import CliRunner

from server.cli.options import AllowHub, setting
from server.settings import words_of


@pytest.fixture
def run():
    app = typer.Typer()

    @app.command()
    def show(allow_hub: AllowHub = False) -> None:
        print(allow_hub)

    return lambda *arguments, **environment: CliRunner().invoke(app, arguments, env=environment).output.strip()


def test_nothing_is_fetched_unless_it_is_allowed(run):
    assert run() == "False"


def test_the_hub_is_allowed_by_an_option_or_by_the_environment(run):
    assert run("--allow-hub") == "True"
    assert run(SHRINKML_ALLOW_HUB="1") == "True"


def test_the_option_of_a_setting_has_its_words_and_its_variable():
    option = setting("port", "--door", min=1)
    assert (option.help, option.envvar, option.min) == (words_of("port"), "SHRINKML_PORT", 1)
