"""Over a socket, as a browser would ask: what pages of other sites may not do."""

import pytest

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
