"""The dashboard in a real browser, before a real server whose jobs take a second."""

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Iterator

import pytest

from server.jobs.candidates import pareto_set
from server.jobs.job_state import now
from shrinkml.events import Event, LoggedEvent
from tests.server.live.conftest import LiveServer

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is among the development requirements")
expect = playwright.expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; Debian's: apt-get install chromium")

PATIENCE_MS = 30_000
PHONE = {"width": 360, "height": 740}
READABLE = 4.5  # contrast of text, WCAG 2.2 AA
PROBLEM = {
    "type": "urn:shrinkml:problem:unauthorized",
    "title": "Unauthorized",
    "detail": "send a token",
    "status": 401,
}


@pytest.fixture(scope="module")
def window(live: LiveServer) -> Iterator[object]:
    """A window of the browser, before the server."""
    with playwright.sync_playwright() as engine:  # closed before other modules: it occupies this thread's event loop
        sandbox = [] if os.geteuid() else ["--no-sandbox"]  # chromium refuses root a sandbox
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        context = browser.new_context(base_url=live.url, locale="en-GB")
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        live.wait_until_well()
        yield context
        browser.close()


@pytest.fixture
def page(window) -> Iterator[object]:
    """A tab, of which the browser may complain of nothing that a test does not expect."""
    page = window.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    yield page
    page.close()
    assert page.complaints == []


@pytest.fixture(scope="module")
def done(live: LiveServer) -> tuple[str, str]:
    """The ids of two jobs that have succeeded."""
    jobs = [live.client.submit({**body(f"done-{'x' * 40}"), "seed": seed}) for seed in (0, 7)]
    for job in jobs:
        job.wait()
    return jobs[0].id, jobs[1].id


def body(name: str) -> dict[str, object]:
    data = {split: f"{split}.jsonl" for split in ("train", "dev", "test")}
    return {"name": name, "model": "model", "data": data, "goal": {"compression_ratio": 3.0}}


def fill(page, **fields: str) -> None:
    """Fill in the form with a job that is right, but for `fields`."""
    right = {"name": "seen", "model": "model", "goal.compression_ratio": "3", "goal.max_wer_increase": "0.003"}
    right |= {f"data.{split}": f"{split}.jsonl" for split in ("train", "dev", "test")} | {"more": ""}
    for path, text in (right | fields).items():
        page.locator(f'[name="{path}"]').fill(text)


def submit(page) -> None:
    page.get_by_role("button", name="Submit", exact=True).click()


def fault(page, path: str):
    """What the form says of the field at `path`."""
    return page.locator(f'[id="{path}-fault"]')


def badge(page):
    return page.locator("article .badge")


def test_a_job_is_submitted_watched_until_it_has_succeeded_and_downloaded(page, tmp_path):
    page.goto("/#/submit")
    fill(page)
    submit(page)
    expect(page).to_have_url(re.compile(r"#/jobs/seen-"))
    expect(badge(page)).to_have_text("succeeded")
    expect(page.locator(".headline")).to_contain_text("Goal met: 3x smaller")
    expect(page.locator(".path li.done")).to_have_count(3)
    expect(page.locator("circle.dot")).to_have_count(30)
    expect(page.locator(".star.best")).to_have_count(1)
    expect(page.locator(".layers tbody tr").first).to_contain_text("encoder.0.weight_ih_l0")
    expect(page.locator(".log li").first).to_contain_text("The job is succeeded.")
    expect(page.locator(".log .evaluated")).to_have_count(0)
    page.get_by_label("every event").check()
    expect(page.locator(".log .evaluated")).to_have_count(30)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download final.tar").click()
    download.value.save_as(tmp_path / "final.tar")
    digest = hashlib.sha256((tmp_path / "final.tar").read_bytes()).hexdigest()
    expect(page.locator(".sum")).to_have_text(f"sha256 {digest}")


def test_a_running_job_is_cancelled_and_can_be_resumed(page, live: LiveServer):
    job = live.client.submit(body("endless"))
    page.goto(f"/#/jobs/{job.id}")
    expect(page.locator(".path li.now")).to_contain_text("search-2")
    page.get_by_role("button", name="Cancel").click()
    expect(badge(page)).to_have_text("cancelled")
    expect(page.locator("#spoken")).to_have_text("The job is cancelled.")
    page.get_by_role("button", name="Resume").click()
    expect(badge(page)).to_have_text("succeeded")


def test_a_job_that_failed_says_why_and_what_to_do(page, live: LiveServer):
    job = live.client.submit(body("broken"))
    page.goto(f"/#/jobs/{job.id}")
    expect(page.get_by_role("alert")).to_contain_text("No plan fits (in stage search-2)no plan fitsCorrect the job")


def test_a_deleted_job_is_gone(page, live: LiveServer):
    job = live.client.submit(body("gone"))
    live.end(job.id)
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"/#/jobs/{job.id}")
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert job.id not in {known["id"] for known in live.client.jobs()}


def test_the_form_refuses_what_the_api_would_and_says_so_at_the_field(page):
    page.goto("/#/submit")
    for path, text, message in (
        ("model", "", "This is needed."),
        ("goal.compression_ratio", "0.5", "Give more than 1."),
        ("goal.max_wer_increase", "2", "Give 1 or less."),
        ("name", "a b", "Allowed: what matches"),
        ("more", "{", "This is no JSON"),
    ):
        fill(page, **{path: text})
        submit(page)
        expect(fault(page, path)).to_contain_text(message)
        expect(page.locator(f'[name="{path}"]')).to_be_focused()


def test_what_the_api_refuses_is_told_at_the_field_it_names(page):
    page.goto("/#/submit")
    for path, text, message in (
        ("data.dev", "none.jsonl", "none.jsonl"),
        ("data.test", "/etc/passwd", "outside the folders that this server may read"),
        ("model", "nothing", "no model"),
        ("more", '{"sead": 1}', "sead: Extra inputs are not permitted"),
        ("more", '{"search": {"seeds": 0}}', "search.seeds: Input should be greater"),
    ):
        fill(page, **{path: text})
        submit(page)
        expect(page.get_by_role("alert")).to_contain_text(message)
        expect(fault(page, path)).to_contain_text(message)
        expect(page.locator(f'[name="{path}"]')).to_be_focused()
    page.complaints = [it for it in page.complaints if "Failed to load resource" not in it]  # the 4xx themselves


def test_the_list_shows_the_best_plans_and_is_walked_through_by_keyboard(page, done):
    older, newer = done
    page.goto("/")
    expect(page.get_by_role("row", name=newer)).to_contain_text(
        "succeeded100 %, 30 of 30 plans10.00 % WER at 10 parameters"
    )
    page.get_by_role("link", name=newer).focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name=older)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=older)).to_be_visible()


def test_two_jobs_are_compared(page, done):
    one, other = done
    page.goto(f"/#/compare/{one}")
    page.get_by_label("and").select_option(other)
    expect(page.locator(".star.best")).to_have_count(2)
    expect(page.get_by_role("row", name="seed 0 7")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("WER on test 0.73"))).to_be_visible()


def test_a_token_is_asked_for_once_kept_for_the_tab_and_sent_with_every_request(page, done):
    sent = []

    def guard(route):
        header = route.request.headers.get("authorization")
        sent.append(header)
        if header == "Bearer open sesame":
            return route.continue_()
        return route.fulfill(status=401, body=json.dumps(PROBLEM), content_type="application/problem+json")

    page.route("**/v1/**", guard)
    page.goto(f"/#/jobs/{done[0]}")
    for token in ("wrong", "open sesame"):
        expect(page.get_by_role("dialog")).to_contain_text("send a token")
        page.get_by_role("textbox", name="Token").fill(token)
        page.get_by_role("button", name="Go on").click()
    expect(page.locator("circle.dot")).to_have_count(30)  # by the stream of events
    with page.expect_download() as download:
        page.get_by_role("link", name="Download final.tar").click()
    assert download.value.suggested_filename == "final.tar"
    assert sent[:2] == [None, "Bearer wrong"]
    assert set(sent[2:]) == {"Bearer open sesame"}
    page.reload()
    expect(badge(page)).to_have_text("succeeded")
    page.get_by_role("button", name="Forget token").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.complaints = [it for it in page.complaints if "401" not in it]


def test_a_broken_stream_goes_on_behind_the_last_event(page, done):
    asked = []

    def tear(route):
        asked.append(route.request.headers["last-event-id"])
        whole = route.fetch()
        if len(asked) == 1:
            blocks = whole.text().split("\n\n")
            return route.fulfill(response=whole, body="\n\n".join(blocks[:5]) + "\n\nid: 6\ndata: {")
        return route.fulfill(response=whole)

    page.route("**/events", tear)
    page.goto(f"/#/jobs/{done[0]}")
    expect(page.locator("circle.dot")).to_have_count(30)
    expect(page.locator(".path li")).to_have_count(3)
    assert asked[:2] == ["0", "5"]


def test_text_of_a_job_is_text(page):
    evil = '<img src=x onerror="document.title=1">'
    job = {**json.loads(json.dumps(body("evil"))), "goal": {"compression_ratio": 3.0, "max_wer_increase": 0.003}}
    moved = [{"state": "failed", "at": "2026-01-01T00:00:00Z"}]
    failure = {"title": evil, "detail": evil, "hint": evil, "stage": evil}
    view = {"id": evil, "state": "failed", "attempt": 1, "stage": None, "progress": None, "failure": failure}
    page.route("**/v1/jobs/*", lambda route: route.fulfill(json={**view, "transitions": moved, "job": job}))
    page.route("**/v1/jobs/*/checkpoints", lambda route: route.fulfill(json={"items": []}))
    page.route("**/v1/jobs/*/events", lambda route: route.fulfill(status=204))
    page.goto("/#/jobs/evil")
    expect(page.get_by_role("alert")).to_contain_text(evil)
    expect(page.locator("main img")).to_have_count(0)


def asked_of(page, function: str, judged: list[dict[str, object]]):
    """What `function` of the script plans.js says of judged plans: their WERs."""
    page.goto("/")
    script = """async ([name, judged]) => {
        const plans = await import("/dashboard/plans.js");
        return [plans[name](judged.map((data) => plans.planOf(data.stage, data)))].flat().map((plan) => plan?.wer);
    }"""
    return page.evaluate(script, [function, judged])


def test_the_front_is_the_one_of_the_api(page):
    chance = random.Random(0)
    judged = [
        {"wer": chance.randint(1, 20) / 20, "parameters": chance.randint(1, 20), "heard": chance.choice((1.0, 0.5))}
        for _ in range(60)
    ]
    logged = [LoggedEvent(n, now(), Event("evaluated", str(n), "search", "", facts)) for n, facts in enumerate(judged)]
    assert asked_of(page, "frontOf", judged) == [candidate.wer for candidate in pareto_set(logged).items]


def test_the_best_plan_is_judged_whole_and_inside_the_budget_of_the_newest_step(page):
    first = {"stage": "search-1", "parameters": 20, "wer": 0.01}
    measured = {"stage": "search-2", "parameters": 90, "wer": 0.001, "within_budget": False}
    estimate = {"stage": "search-2", "parameters": 9, "wer": 0.002, "heard": 0.5}
    best, worse = ({"stage": "search-2", "parameters": size, "wer": wer} for size, wer in ((10, 0.03), (8, 0.04)))
    assert asked_of(page, "bestOf", [first, measured]) == [0.01]
    assert asked_of(page, "bestOf", [first, worse, measured, best, estimate]) == [0.03]
    assert asked_of(page, "bestOf", [measured]) == [None]


def test_nothing_is_wider_than_a_phone(page, done):
    page.set_viewport_size(PHONE)
    views = {
        "": ".jobs td",
        f"jobs/{done[0]}": ".layers",
        f"compare/{'/'.join(done)}": ".pairs td",
        "submit": "textarea",
    }
    for view, part in views.items():
        page.goto(f"/#/{view}")
        expect(page.locator(part).first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_can_be_read_in_light_and_dark(page, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto("/")
    names = ("page", "panel", "text", "soft", "accent", "met", "missed", "on-accent")
    read = "name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim()"
    colour = {name: luminance(page.evaluate(read, name)) for name in names}
    assert (colour["page"] > colour["text"]) == (scheme == "light")
    for name in ("text", "soft", "accent", "met", "missed"):
        assert min(contrast(colour[name], colour[back]) for back in ("page", "panel")) >= READABLE, name
    assert contrast(colour["on-accent"], colour["accent"]) >= READABLE


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
