"""The dashboard's files over real HTTP: all there, all of this server, asking the public API alone."""

import re

import httpx
import pytest

from server.dashboard.dashboard_routes import FILES, FOLDER, MEDIA_TYPES, PAGE

SCRIPTS = sorted(name for name in FILES if name.endswith(".js"))
NAMESPACE = "http://www.w3.org/2000/svg"  # a name, which nothing is fetched from
# Beside the API itself, programs may ask for what these say of it and of the server.
DESCRIPTIONS = {"/openapi.json", "/docs"}


def text_of(name: str) -> str:
    return FILES[name].read_text(encoding="utf-8")


@pytest.fixture
def page(http: httpx.Client) -> httpx.Response:
    return http.get("/")


def test_the_page_comes_as_html_that_runs_and_loads_files_of_this_server_only(page):
    assert page.status_code == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("form-action") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy) == {"script-src", "style-src", "img-src", "connect-src"}
    assert set(policy.values()) == {"'self'"}


def test_the_page_has_no_script_or_style_inside(page):
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", page.text)


def test_everything_that_the_page_names_is_there(http, page):
    named = re.findall(r'(?:href|src)="(/[^"]*)"', page.text)
    assert {"/dashboard/main.js", "/dashboard/style.css"} <= set(named)
    assert [path for path in named if http.get(path).status_code != 200] == []


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_comes_as_what_it_is_and_again_only_if_it_changed(http, name):
    response = http.get(f"/dashboard/{name}")
    assert response.content == FILES[name].read_bytes()
    assert response.headers["Content-Type"] == MEDIA_TYPES[FILES[name].suffix]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"
    assert http.head(f"/dashboard/{name}").headers["ETag"] == response.headers["ETag"]


def test_all_files_of_the_folder_are_served():
    assert {path.name for path in FOLDER.iterdir()} == set(FILES)


@pytest.mark.parametrize("name", ["nothing.js", "..%2fdashboard_routes.py", "%2e%2e/__init__.py", "", "static"])
def test_nothing_else_is_served(http, name):
    response = http.get(f"/dashboard/{name}")
    assert (response.status_code, response.json()["type"]) == (404, "urn:shrinkml:problem:unknown-path")


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_module_that_a_script_imports_is_there(name):
    imported = re.findall(r'from "\./([^"]+)"', text_of(name))
    assert len(imported) == len(re.findall(r"^import |\bimport\(", text_of(name), re.MULTILINE))
    assert set(imported) <= set(FILES)


def test_every_script_is_used():
    used = set(re.findall(r'from "\./([^"]+)"', "".join(map(text_of, SCRIPTS))))
    assert {*used, "main.js"} == set(SCRIPTS)


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_file_names_another_host(name):
    assert not re.search(r"(?:https?:|wss?:|[\"'(=]\s*)//\w", text_of(name).replace(NAMESPACE, ""))


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_make_elements_of_text_and_never_of_html(name):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|Function\(", text_of(name)
    )


def asked_paths() -> set[str]:
    """Every path that the scripts ask for, the parts of a job written as the API's description does."""
    scripts = "".join(map(text_of, SCRIPTS))
    whole = set(re.findall(r'["`](/(?!dashboard/)[a-z][^"`?#$]*)["`?#]', scripts))
    parts = {path for path in whole if re.search(rf'jobPath\([\w.]+, "{path}[?"]|post\("{path}"\)', scripts)}
    return whole - parts | {f"/v1/jobs/{{job_id}}{part}" for part in parts}


def test_the_scripts_ask_for_what_the_api_describes(http):
    described = set(http.get("/openapi.json").json()["paths"])
    assert {"/v1/jobs", "/v1/jobs/{job_id}/events", "/v1/jobs/{job_id}/cancel", "/v1/models"} <= asked_paths()
    assert asked_paths() - described <= DESCRIPTIONS


def test_the_form_asks_for_fields_that_a_job_has(http):
    schemas = http.get("/openapi.json").json()["components"]["schemas"]
    parts = {"data": schemas["DataSpec"], "goal": schemas["Goal"]}
    fields = re.search(r"const FIELDS = \{(.*?)\n\};", text_of("submit_view.js"), re.DOTALL)[1]
    for path in re.findall(r'^  "?([\w.]+)"?:', fields, re.MULTILINE):
        part, _, name = path.rpartition(".")
        assert name in parts.get(part, schemas["JobSpec"])["properties"], path


def test_the_example_of_the_form_is_the_demo(request):
    from shrinkml.job import read_job

    root = request.config.rootpath
    job = read_job(root / "configs" / "demo.yaml")
    example = dict(
        re.findall(
            r'^  "?([\w.]+)"?: "([^"]*)",$', text_of("submit_view.js").partition("const EXAMPLE")[2], re.MULTILINE
        )
    )
    assert (example["name"], example["model"]) == (job.name, job.model)
    assert {str(root / example[f"data.{split}"]) for split in ("train", "dev", "test")} == {
        job.data.train,
        job.data.dev,
        job.data.test,
    }
    assert float(example["goal.compression_ratio"]) == job.goal.compression_ratio
    assert float(example["goal.max_wer_increase"]) == job.goal.max_wer_increase


def test_the_page_needs_no_service_to_come(server):
    url, app = server
    app.state.services = None
    assert httpx.get(url).text == text_of(PAGE)


def test_the_page_is_none_of_the_described_operations(http):
    assert not [path for path in http.get("/openapi.json").json()["paths"] if path == "/" or "dashboard" in path]
