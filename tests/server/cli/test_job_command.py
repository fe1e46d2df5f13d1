import pytest

from agents.pipeline.exports.export_table import EXPORTS
from agents.strategies.strategies import STRATEGIES
from envs.rewards import REWARDS
from shrinkml.compression.factorizer_table import FACTORIZERS


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
