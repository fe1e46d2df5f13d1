from prometheus_client.parser import text_string_to_metric_families


def test_prometheus_can_read_the_metrics(http, services, spec):
    services.store.submit(spec, max_queued=9)
    response = http.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert {sample.labels["state"]: sample.value for sample in families["shrinkml_jobs"].samples}["queued"] == 1
    assert {"shrinkml_worker_restarts", "shrinkml_http_requests", "shrinkml_http_seconds"} <= {*families}
    assert all(family.documentation for family in families.values())
