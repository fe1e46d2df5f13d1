import pytest
import typer
from typer.testing import CliRunner

from server.cli.options import AllowHub


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
