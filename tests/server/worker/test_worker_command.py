import argparse

from server.limits import Limits
from server.settings import Settings
from server.worker.worker_command import DATABASE_VARIABLE, command_of, environment_of


def test_a_worker_is_told_all_that_it_needs_and_the_password_not_where_everybody_reads_it():
    settings = Settings(
        home="h",
        files="/shared",
        data_roots=("a", "b"),
        database="postgresql://anna:secret@db/shrinkml",
        limits=Limits(job_hours=2),
        allow_hub=True,
        log_format="json",
    )
    command = command_of(settings)
    assert "secret" not in " ".join(command)
    assert environment_of(settings) == {DATABASE_VARIABLE: "postgresql://anna:secret@db/shrinkml"}
    parser = argparse.ArgumentParser()
    for option in ("--files", "--limits", "--log-format"):
        parser.add_argument(option)
    parser.add_argument("--data-root", action="append")
    parser.add_argument("--allow-hub", action="store_true")
    told = parser.parse_args(command[4:])
    assert (command[1:4], told.files, told.data_root) == (("-m", "server.worker.work", "h"), "/shared", ["a", "b"])
    assert (told.log_format, told.allow_hub) == ("json", True)
    assert Limits.model_validate_json(told.limits) == settings.limits


def test_a_worker_of_one_machine_finds_all_in_the_home():
    assert command_of(Settings(home="h"))[4:6] == ("--files", "h")
    assert environment_of(Settings(home="h")) == {DATABASE_VARIABLE: ""}
