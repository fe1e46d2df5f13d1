"""Metrics of jobs and of the worker, read from the store whenever somebody asks."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from server.http.dependencies import Services
from server.jobs.job_state import JobState, now
from server.webhooks.outbox import DeliveryState


class JobMetrics(Collector):
    """Gives what the service knows of its jobs and of its worker."""

    def __init__(self, services: Callable[[], Services]) -> None:
        """Read from what `services` returns at that moment."""
        self._services = services

    def describe(self) -> list[Metric]:
        """Return nothing: to be registered it need not ask the store."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        services = self._services()
        tally = services.store.tally()
        jobs = GaugeMetricFamily("shrinkml_jobs", "Jobs, by state.", labels=["state"])
        for state in JobState:
            jobs.add_metric([state], tally.jobs.get(state, 0))
        yield jobs
        waited = 0.0 if tally.waiting_since is None else (now() - tally.waiting_since).total_seconds()
        yield GaugeMetricFamily("shrinkml_queue_age_seconds", "Time that the longest waiting job waits.", value=waited)
        yield GaugeMetricFamily("shrinkml_evaluations", "Plans that the jobs have judged.", value=tally.evaluations)
        stages = GaugeMetricFamily("shrinkml_stage_seconds", "Time that stages of the jobs took.", labels=["stage"])
        for stage, seconds in tally.stage_seconds.items():
            stages.add_metric([stage], seconds)
        yield stages
        messages = GaugeMetricFamily("shrinkml_webhook_messages", "Messages to webhooks, by state.", labels=["state"])
        counts = services.webhooks.counts()
        for delivery in DeliveryState:
            messages.add_metric([delivery], counts.get(delivery, 0))
        yield messages
        worker = services.worker
        if worker is not None:
            alive = float(worker.pid is not None and worker.silent_s is not None)
            told = "1 where the server's own worker gives signs of life."
            yield GaugeMetricFamily("shrinkml_worker_alive", told, value=alive)
            told = "Times that it was started again."
            yield CounterMetricFamily("shrinkml_worker_restarts", told, value=worker.restarts)
