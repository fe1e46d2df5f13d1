from prometheus_client.parser import text_string_to_metric_families


def requests_told(http):
    families = text_string_to_metric_families(http.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {
        (s.labels["method"], s.labels["route"], s.labels["status"]): s.value
        for s in samples
        if s.name == "shrinkml_http_requests_total"
    }


def test_requests_are_counted_by_route_and_not_by_what_clients_make_up(http):
    before = requests_told(http)
    for path in ("/v1/jobs/a-00000000", "/v1/jobs/b-00000000", "/made-up", "/also/made-up"):
        http.get(path)
    http.request("BREW", "/v1/jobs")
    after = requests_told(http)
    new = {row: n - before.get(row, 0) for row, n in after.items() if n != before.get(row, 0)}
    assert new == {
        ("GET", "/v1/jobs/{job_id}", "404"): 2,
        ("GET", "none", "404"): 2,
        ("none", "/v1/jobs", "405"): 1,
        ("GET", "/metrics", "200"): 1,
    }
