from types import SimpleNamespace

from server.http.dependencies import services


def test_a_request_finds_the_services_of_the_application_that_answers_it():
    mine, other = object(), object()
    requests = [SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(services=one))) for one in (mine, other)]
    assert [services(request) for request in requests] == [mine, other]
