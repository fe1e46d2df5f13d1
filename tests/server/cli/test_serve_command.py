import inspect
import json
import re
from pathlib import Path

import pytest
import typer

from server import serving
from server.auth.home_tokens import tokens_in
from server.auth.tokens import new_token
from server.cli.serve_command import present_settings, serve
from server.home import database_url, job_folder, uploads_folder
from server.limits import Limits
from server.log_lines import LogFormat
from server.settings import Settings, check_protected, variable_of
from shrinkml.errors import ConfigError

DOCKERFILE = Path(__file__).parents[3] / "Dockerfile"


@pytest.fixture
def served(monkeypatch):
    """The settings that the command serves with; it says that it is ready and returns."""
    seen = []

    def serve(settings, *, on_ready):
        seen.append(settings)
        on_ready("http://127.0.0.1:1")

    monkeypatch.setattr(serving, "serve", serve)
    return seen


def test_serve_says_where_it_listens_on_standard_error(shrinkml, served, tmp_path):
    code, out, err = shrinkml("serve", "--home", tmp_path, "--port", 0)
    assert (code, out) == (0, "")
    access = "without tokens, for this machine alone"
    assert err == f"ShrinkML is serving at http://127.0.0.1:1 (files in {tmp_path}; {access}); Ctrl-C stops it.\n"


def test_options_become_settings(shrinkml, served, tmp_path):
    roots, hosts = ("--data-root", "a", "--data-root", "b"), ("--allowed-host", "asr", "--allowed-host", "asr.lan")
    limits = ("--limit", "jobs_waiting=3", "--limit", "job_hours=2.5")
    others = ("--allow-hub", "--host", "0.0.0.0", "--insecure", "--log-format", "json")
    shrinkml("serve", "--home", tmp_path, *roots, *hosts, *limits, *others)
    (settings,) = served
    assert settings.log_format == "json"
    assert (settings.home, settings.allow_hub) == (tmp_path, True)
    assert (settings.host, settings.insecure, settings.allowed_hosts) == ("0.0.0.0", True, ("asr", "asr.lan"))
    assert settings.data_roots == (Path("a"), Path("b"))
    assert (settings.limits.jobs_waiting, settings.limits.job_hours) == (3, 2.5)


def test_who_opens_the_service_to_others_is_warned(shrinkml, served, tmp_path):
    err = shrinkml("serve", "--home", tmp_path, "--host", "0.0.0.0", "--insecure").err
    assert err.startswith("warning: whoever reaches 0.0.0.0 may read and write all that this service may")
    assert "without tokens, for whoever reaches it" in err


def test_a_service_with_tokens_is_open_to_nobody_and_says_so(shrinkml, served, tmp_path):
    with tokens_in(database_url(tmp_path), make=True) as tokens:
        tokens.add(new_token("anna")[0])
    err = shrinkml("serve", "--home", tmp_path, "--host", "0.0.0.0", "--insecure").err
    assert "warning" not in err
    assert f"(files in {tmp_path}; who asks needs a token)" in err


def test_a_limit_that_there_is_not_is_a_user_error(shrinkml, served, tmp_path):
    code, _, err = shrinkml("serve", "--home", tmp_path, "--limit", "colour=3")
    assert (code, served) == (2, [])
    assert "error: --limit colour" in err


def test_options_may_come_from_the_environment(shrinkml, served, tmp_path, monkeypatch):
    monkeypatch.setenv("SHRINKML_HOME", str(tmp_path))
    monkeypatch.setenv("SHRINKML_PORT", "1234")
    shrinkml("serve")
    (settings,) = served
    assert (settings.home, settings.port, settings.data_roots) == (tmp_path, 1234, (Path(),))


def test_every_setting_is_an_option_that_its_variable_sets_too():
    assert {*inspect.signature(serve).parameters} == set(Settings.model_fields)
    app = typer.Typer(add_completion=False)
    app.command()(serve)
    for parameter in typer.main.get_command(app).params:
        assert parameter.envvar == variable_of(parameter.name)
        assert parameter.help == Settings.model_fields[parameter.name].description


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("home", "elsewhere", Path("elsewhere")),
        ("database", "postgresql://a:b@db/x", "postgresql://a:b@db/x"),
        ("files", "shared", Path("shared")),
        ("worker", "0", False),
        ("host", "::1", "::1"),
        ("port", "0", 0),
        ("data_roots", "a:b", (Path("a"), Path("b"))),
        ("allowed_hosts", "asr asr.lan", ("asr", "asr.lan")),
        ("allowed_origins", "https://a.org http://b:81", ("https://a.org", "http://b:81")),
        ("insecure", "1", True),
        ("limits", "jobs_waiting=3 job_hours=2.5", Limits(jobs_waiting=3, job_hours=2.5)),
        ("log_format", "json", LogFormat.JSON),
        ("webhook_networks", "127.0.0.0/8 fd00::/8", ("127.0.0.0/8", "fd00::/8")),
        ("allow_hub", "true", True),
    ],
)
def test_each_setting_is_read_from_its_variable(monkeypatch, name, text, value):
    monkeypatch.setenv(variable_of(name), text)
    assert present_settings() == Settings(**{name: value})


def test_settings_are_listed_with_variable_value_and_default(shrinkml, monkeypatch):
    monkeypatch.setenv("SHRINKML_DATA_ROOTS", "a:b")
    monkeypatch.setenv("SHRINKML_LIMITS", "jobs_waiting=3")
    rows = shrinkml("settings").out.splitlines()
    assert rows[0].split() == ["setting", "variable", "now", "default", "use"]
    assert [row.split()[:5] for row in rows if row.startswith("data_roots")] == [
        ["data_roots", "SHRINKML_DATA_ROOTS", "a", "b", "."]
    ]
    (waiting,) = [row for row in rows if row.startswith("limits.jobs_waiting")]
    assert waiting.strip().split(maxsplit=4) == [
        "limits.jobs_waiting",
        "SHRINKML_LIMITS",
        "3",
        "16",
        "Jobs that may wait.",
    ]


def test_settings_are_listed_for_machines(shrinkml, monkeypatch):
    monkeypatch.setenv("SHRINKML_ALLOW_HUB", "1")
    listed = {one["name"]: one for one in json.loads(shrinkml("settings", "--json").out)}
    assert (listed["allow_hub"]["value"], listed["allow_hub"]["default"]) == (True, False)
    assert listed["limits.free_gb"]["value"] == 1.0


def test_a_variable_that_serve_could_not_read_is_a_user_error(shrinkml, monkeypatch):
    monkeypatch.setenv("SHRINKML_PORT", "many")
    code, out, err = shrinkml("settings")
    assert (code, out) == (2, "")
    assert "SHRINKML_PORT" in err


def test_a_port_that_there_is_not_is_refused(shrinkml, served):
    code, _, err = shrinkml("serve", "--port", 70000)
    assert (code, "65535" in err, served) == (2, True, [])


def test_the_image_serves_others_only_where_its_operator_insists(shrinkml, served, monkeypatch):
    found = re.search(r"^CMD (.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    program, *arguments = json.loads(found[1])
    assert program == "shrinkml"
    shrinkml(*arguments)
    monkeypatch.setenv("SHRINKML_INSECURE", "1")
    assert "warning: whoever reaches 0.0.0.0" in shrinkml(*arguments).err
    refused, meant = served
    with pytest.raises(ConfigError, match=r"other machines reach 0\.0\.0\.0"):
        check_protected(refused, has_tokens=False)
    check_protected(meant, has_tokens=False)


@pytest.fixture
def old_home(tmp_path, engine, store, spec):
    """A home with a job that has ended, and files of a job and of an upload that there are not."""
    job, _ = store.submit(spec, max_queued=1)
    store.cancel(job.id)
    job_folder(tmp_path, "lost-1").mkdir(parents=True)
    (uploads_folder(tmp_path) / "received").mkdir(parents=True)
    (uploads_folder(tmp_path) / "received" / "x").touch()
    return tmp_path, job.id


def test_gc_explains_what_it_would_remove_and_removes_nothing(shrinkml, old_home):
    home, job_id = old_home
    code, out, err = shrinkml("gc", "--home", home, "--older-than", 0)
    told = {name: [of, *why] for of, name, *why in (line.split() for line in out.splitlines()[1:])}
    assert code == 0
    assert told["lost-1"] == ["job", "belongs", "to", "no", "job", "0.0", "MB"]
    assert told["received/x"] == ["upload", "belongs", "to", "no", "upload", "0.0", "MB"]
    assert told[job_id][:3] == ["job", "cancelled", "since"]
    assert len(told) == 3
    assert err == "Nothing is removed yet; with --remove it is.\n"
    assert job_folder(home, "lost-1").is_dir()


def test_gc_removes_what_it_listed_where_it_is_told_to(shrinkml, old_home, store):
    home, job_id = old_home
    arguments = ("gc", "--home", home, "--older-than", 0, "--json")
    listed = json.loads(shrinkml(*arguments).out)
    assert {one["id"]: one["removed"] for one in listed} == {job_id: False, "lost-1": False, "received/x": False}
    assert {one["removed"] for one in json.loads(shrinkml(*arguments, "--remove").out)} == {True}
    assert store.page(limit=9) == []
    assert json.loads(shrinkml(*arguments).out) == []


def test_gc_keeps_jobs_for_a_month_unless_it_is_told_otherwise(shrinkml, old_home):
    home, job_id = old_home
    assert job_id not in shrinkml("gc", "--home", home).out


def test_a_server_or_worker_that_works_alone_is_refused(shrinkml, tmp_path):
    for arguments in (("worker",), ("serve", "--no-worker", "--port", 0)):
        code, _, err = shrinkml(*arguments, "--home", tmp_path)
        assert (code, list(tmp_path.iterdir())) == (2, [])
        assert "wants the database that it shares with others: name it with --database (SHRINKML_DATABASE)" in err


def test_a_worker_takes_its_settings_and_says_that_it_works(shrinkml, monkeypatch, tmp_path):
    seen = []

    def keep_working(settings, *, on_ready):
        seen.append(settings)
        on_ready()

    monkeypatch.setattr(serving, "keep_working", keep_working)
    arguments = ("--home", tmp_path, "--database", "postgres://db/x", "--files", "shared", "--data-root", "a")
    code, out, err = shrinkml("worker", *arguments, "--limit", "job_hours=2.5", "--allow-hub", "--log-format", "json")
    assert (code, out, err) == (0, "", "A worker of ShrinkML runs jobs (files in shared); Ctrl-C stops it.\n")
    (settings,) = seen
    assert (settings.database_url, settings.jobs_files) == ("postgresql://db/x", Path("shared"))
    assert (settings.home, settings.data_roots, settings.limits.job_hours) == (tmp_path, (Path("a"),), 2.5)
    assert (settings.allow_hub, settings.log_format) == (True, LogFormat.JSON)


def test_gc_makes_no_home_where_there_is_none(shrinkml, tmp_path):
    code, _, err = shrinkml("gc", "--home", tmp_path / "none")
    assert code == 2
    assert "is no home of a service: it holds no jobs.sqlite; name another with --home" in err
    assert not (tmp_path / "none").exists()
