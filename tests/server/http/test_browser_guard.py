"""Over a socket, as a browser would ask: what pages of other sites may not do."""

import asyncio

import httpx
import pytest

from server.http.app import create_app

ORIGIN = "https://dash.example.org"
JOB = {"model": "model"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "2130706433", "", "[::1"],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/jobs"), ("POST", "/v1/jobs"), ("GET", "/openapi.json")])
def test_a_host_that_is_not_ours_is_not_answered(http, host, method, path):
    response = http.request(method, path, headers={"Host": host}, json=JOB if method == "POST" else None)
    assert (response.status_code, response.json()["type"]) == (421, "urn:shrinkml:problem:foreign-host")
    assert "--allowed-host" in response.json()["detail"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "shrink.localhost", "127.0.0.1:9", "[::1]:8765", "10.1.2.3"]
)
def test_this_machine_and_addresses_in_figures_are_answered(http, host):
    assert http.get("/v1/version", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    ],
)
def test_a_page_of_another_origin_neither_cancels_nor_resumes_nor_deletes_nor_submits(
    http, store, spec, request_body, headers
):
    job, _ = store.submit(spec, max_queued=9)
    for method, path in (("POST", "/cancel"), ("POST", "/resume"), ("DELETE", "")):
        response = http.request(method, f"/v1/jobs/{job.id}{path}", headers=headers)
        assert (response.status_code, response.json()["type"]) == (403, "urn:shrinkml:problem:cross-origin")
    assert http.post("/v1/jobs", json=request_body, headers=headers).status_code == 403
    assert store.page(limit=9) == [job]


def test_a_page_of_another_origin_reads_nothing_but_may_lead_here(http):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert http.get("/v1/jobs", headers=headers).status_code == 403
    headers |= {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert http.get("/v1/jobs", headers=headers).status_code == 200
    assert http.get("/v1/jobs", headers={**headers, "Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_our_own_pages_and_programs_are_answered(http, url):
    for headers in ({"Origin": url}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        assert http.get("/v1/jobs", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/jobs/", "/v1/version/", "/docs/"])
def test_nobody_is_sent_elsewhere(http, path):
    response = http.get(path)
    assert response.status_code == 404
    assert "Location" not in response.headers


@pytest.mark.parametrize("path", ["/v1/jobs", "/docs", "/v1/version", "/nothing", "/openapi.json"])
def test_every_answer_is_what_it_says_it_is_and_for_this_origin_alone(http, path):
    headers = http.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.fixture
def ask(services):
    """Asks an application whose operator allows the pages of ORIGIN."""
    app = create_app(services, allowed_origins=[ORIGIN])

    async def answer(method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers)

    return lambda *request: asyncio.run(answer(*request))


def test_a_page_of_an_origin_that_the_operator_allows_is_answered_and_may_read_that(ask):
    page = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, x-other"}
    leave = ask("OPTIONS", "/v1/jobs", page | preflight)
    assert leave.status_code == 200
    assert leave.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert leave.headers["Access-Control-Allow-Headers"] == "authorization, x-other"
    assert "POST" in leave.headers["Access-Control-Allow-Methods"]
    answer = ask("GET", "/v1/jobs", page)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert "Location" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"
    assert not {"Access-Control-Allow-Credentials"} & {*leave.headers, *answer.headers}
    refused = ask("GET", "/v1/jobs/nobody", page)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (404, ORIGIN), "problems too"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", f"{ORIGIN}.evil.example", "http://dash.example.org", "null"]
)
def test_an_origin_that_is_allowed_opens_nothing_to_others(ask, origin):
    for method, more in (("GET", {}), ("OPTIONS", {"Access-Control-Request-Method": "GET"})):
        answer = ask(method, "/v1/jobs", {"Origin": origin, **more})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:shrinkml:problem:cross-origin")
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_foreign_host_is_refused_from_an_allowed_origin_too(ask):
    assert ask("GET", "/v1/jobs", {"Origin": ORIGIN, "Host": "evil.example"}).status_code == 421
