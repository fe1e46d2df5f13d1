"""The page of recipes for curl, run from top to bottom as it stands against a real server."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.http.examples import REQUEST
from shrinkml.storage.archives import packed_model
from tests.docs.documents import BLOCK, ROOT
from tests.server.live.conftest import PATIENCE_S

PAGE = (ROOT / "docs" / "curl.md").read_text(encoding="utf-8")
ADDRESS = "localhost:8765"  # of the page
RECIPES = [
    (section.partition("\n")[0], [block[2] for block in BLOCK.finditer(section)])
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
]

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def data(data_folder: Path) -> Iterator[None]:
    """The data that the job of the page names, where the server looks for it."""
    commands = data_folder / "data" / "commands"
    commands.parent.mkdir()
    commands.symlink_to(data_folder)
    yield
    commands.unlink()
    commands.parent.rmdir()


@pytest.fixture
def run(tmp_path: Path):
    """Runs a block as a shell would, where curl takes what the server refuses for an error; what it prints."""
    (tmp_path / ".curlrc").write_text(f"fail-with-body\nsilent\nshow-error\nmax-time = {PATIENCE_S:g}\n")

    def run(block: str, url: str, **ids: str) -> str:
        text = block.replace(ADDRESS, url.removeprefix("http://"))
        for name, value in ids.items():
            text = text.replace(name, value)
        environment = {"CURL_HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, f"{text}: {done.stdout[-1000:]} {done.stderr}"
        return done.stdout

    return run


def documents(printed: str) -> list:
    """The JSON documents that several commands have printed, one behind the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(printed):
        document, at = decoder.raw_decode(printed, at)
        found.append(document)
    return found


def test_each_recipe_does_what_it_says(live, tmp_path, data, data_folder, run):
    live.wait_until_well()
    # Keeps the worker busy: the job of the page waits, until it has been cancelled and resumed.
    other = live.client.submit({**REQUEST, "name": "endless"})
    live.wait_for_event(other, "search-2/started")
    with packed_model(data_folder / "model") as archive:
        shutil.copy(archive, tmp_path / "model.tar")
    printed, ids = {}, {}
    for title, blocks in RECIPES:
        printed[title] = []
        for block in blocks:
            printed[title].append(run(block, live.url, **ids))
            if title == "Send a model":
                ids["UPLOAD"] = json.loads(printed[title][0])["id"]
                live.wait_for(lambda: not [it for it in live.client.uploads() if it["state"] == "checking"])
            if "/v1/webhooks -H" in block:
                ids["WEBHOOK"] = json.loads(printed[title][-1])["id"]
        if title == "Submit a job":
            ids["JOB"] = json.loads(printed[title][0])["id"]
        if title == "Cancel a job, and go on with it":
            live.end(other.id)

    assert json.loads(*printed["Is it ready?"])["ready"]
    begun, (part, whole), (ready, datasets) = [documents(it) for it in printed["Send a model"]]
    assert [it["received"] for it in (*begun, part, whole)] == [0, 1000, whole["bytes"]]
    assert (ready["state"], ready["model"]["name"]) == ("ready", f"upload:{ids['UPLOAD']}")
    assert set(datasets) == {"uploads"}
    assert ids["UPLOAD"] not in [upload["id"] for upload in live.client.uploads()]
    job, waiting = documents(*printed["Look at a job, or at all that wait"])
    assert job["state"] == "queued"
    assert [item["id"] for item in waiting["items"]] == [ids["JOB"]]
    assert [job["state"] for job in documents(*printed["Cancel a job, and go on with it"])] == ["cancelled", "queued"]
    whole, rest, page = printed["Follow a job to its end"]
    assert "event: evaluated" in whole
    assert whole.endswith(rest)
    assert rest.startswith("event: ")
    assert [event["sequence"] for event in json.loads(page)["items"]] == [31, 32, 33, 34, 35]
    (made,), (sent,) = (documents(text) for text in printed["Be told of jobs"])
    assert made["secret"].startswith("whsec_")
    assert sent == {"items": [], "next": None}
    candidates, report = documents(*printed["See what was found"])
    assert candidates["n_judged"] == 30
    assert report["goal_met"]
    assert documents(printed["Download a checkpoint"][0])[0]["items"][0]["name"] == "final.tar"
    assert (tmp_path / "final" / "config.json").read_text() == '{"stage": "search-3"}'
    assert subprocess.run(["tar", "-df", "final.tar"], cwd=tmp_path).returncode == 0, "what went on is whole"
    assert "x-request-id: nightly-7" in printed["Find a request in the log"][0].lower()
    assert f"job {ids['JOB']} is deleted" in (live.home / "server.log").read_text()
    assert documents(*printed["Ask for the rest"])[2]["openapi"].startswith("3.")
