from dataclasses import replace

from prometheus_client import CollectorRegistry

from server.jobs.job_state import JobState
from server.metrics.job_metrics import JobMetrics
from server.webhooks.endpoints import new_endpoint
from server.webhooks.outbox import DeliveryState
from shrinkml.events import Event, Progress


def value_of(services, name, **labels):
    registry = CollectorRegistry()
    registry.register(JobMetrics(lambda: services))
    return registry.get_sample_value(name, labels)


def test_jobs_are_counted_by_state_and_states_without_jobs_are_0(services, spec):
    services.store.submit(spec, max_queued=9)
    assert {state: value_of(services, "shrinkml_jobs", state=state) for state in JobState} == {
        state: float(state is JobState.QUEUED) for state in JobState
    }
    assert value_of(services, "shrinkml_queue_age_seconds") > 0


def test_nobody_waits_in_an_empty_queue(services):
    assert value_of(services, "shrinkml_queue_age_seconds") == 0
    assert value_of(services, "shrinkml_evaluations") == 0


def test_what_jobs_did_is_added_up(services, spec):
    services.store.submit(spec, max_queued=9)
    event = Event("stage_finished", "k", "search-2x", "done", {"seconds": 2.5}, Progress(0.5, evaluations_done=30))
    services.store.log(services.store.claim("w"), event)
    assert value_of(services, "shrinkml_stage_seconds", stage="search") == 2.5
    assert value_of(services, "shrinkml_evaluations") == 30


def test_messages_to_webhooks_are_counted_by_state(services, spec):
    services.webhooks.add(new_endpoint("https://example.org/", None), most=9)
    services.store.submit(spec, max_queued=9)
    counts = {state: value_of(services, "shrinkml_webhook_messages", state=state) for state in DeliveryState}
    assert counts == {DeliveryState.WAITING: 1, DeliveryState.DELIVERED: 0, DeliveryState.GIVEN_UP: 0}


def test_the_worker_is_alive_while_it_gives_signs_of_life(services):
    class Worker:
        pid, silent_s, restarts = 7, 0.2, 3

    alive = replace(services, worker=Worker())
    assert value_of(alive, "shrinkml_worker_alive") == 1
    assert value_of(alive, "shrinkml_worker_restarts_total") == 3
    Worker.silent_s = None
    assert value_of(alive, "shrinkml_worker_alive") == 0


def test_a_server_without_a_worker_tells_nothing_of_one(services):
    assert value_of(replace(services, worker=None), "shrinkml_worker_alive") is None
