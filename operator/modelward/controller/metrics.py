"""The operator's own metrics. Labels stay bounded: namespace and name of a model, never a pod or an address."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelward import __version__
from modelward.api.conditions import Status
from modelward.api.objects import Key
from modelward.api.printable import printable
from modelward.api.status import AnalysisStatus, ModelDeploymentStatus, number
from modelward.cache.store import Store

_CONDITION_VALUES: Final[dict[str, float]] = {Status.TRUE: 1.0, Status.FALSE: 0.0, Status.UNKNOWN: -1.0}
_ROLLOUT_BUCKETS: Final = (5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


class Metrics:
    """All metrics of one operator, in a registry of their own."""

    def __init__(self, store: Store) -> None:
        """Metrics about models are read from `store` when they are asked for, so nothing is left behind."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the page and repeat the start of the process
        self.registry = CollectorRegistry()
        build = Gauge("modelward_build_info", "Version of the operator.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self.reconcile_seconds = Histogram(
            "modelward_reconcile_seconds", "Time of one reconcile of a model.", registry=self.registry
        )
        self.reconcile_errors = Counter(
            "modelward_reconcile_errors_total", "Failed attempts.", ["reason"], registry=self.registry
        )
        self.queue_depth = Gauge(
            "modelward_queue_depth", "Models that are due or being worked on.", registry=self.registry
        )
        self.queue_wait_seconds = Histogram(
            "modelward_queue_wait_seconds", "Time that a due model waits.", registry=self.registry
        )
        self.api_requests = Counter(
            "modelward_api_requests_total",
            "Requests to the API server, those of watches and of the Lease apart.",
            ["verb", "code"],
            registry=self.registry,
        )
        self.page_reads = Counter(
            "modelward_metrics_page_reads_total",
            "Readings of pods' metrics pages: OK, or why they failed.",
            ["result"],
            registry=self.registry,
        )
        self.sampling_age_seconds = Gauge(
            "modelward_sampling_age_seconds",
            "Time since the metrics of a rollout were last read, or tried to; of the one that waits longest.",
            registry=self.registry,
        )
        self.sampling_restarts = Counter(
            "modelward_sampling_restarts_total",
            "Readings of a rollout's metrics that ended by themselves and were begun again.",
            registry=self.registry,
        )
        self.watch_age_seconds = Gauge(
            "modelward_watch_age_seconds",
            "Time since what is held of a kind was last confirmed.",
            ["kind"],
            registry=self.registry,
        )
        self.watch_failures = Counter(
            "modelward_watch_failures_total",
            "Watches that broke or were refused, and were tried again.",
            ["kind"],
            registry=self.registry,
        )
        self.leader = Gauge(
            "modelward_leader", "1 while this process leads, 0 while it stands by.", registry=self.registry
        )
        self.rollouts = Counter(
            "modelward_rollouts_total", "Rollouts that ended.", ["result"], registry=self.registry
        )
        self.rollbacks = Counter(
            "modelward_rollbacks_total", "Revisions that were rejected.", ["reason"], registry=self.registry
        )
        self.rollout_duration_seconds = Histogram(
            "modelward_rollout_duration_seconds",
            "Time from the start of a rollout to its end.",
            ["result"],
            buckets=_ROLLOUT_BUCKETS,
            registry=self.registry,
        )
        self.registry.register(_Models(store))

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Shows this process as the leader."""
        self.leader.set(1)
        try:
            yield
        finally:
            self.leader.set(0)

    def count_page_read(self, result: str) -> None:
        """One page of a pod was read, or could not be."""
        self.page_reads.labels(result).inc()

    def count_request(self, verb: str, code: str) -> None:
        """One request to the API server was answered with `code`."""
        self.api_requests.labels(verb, code).inc()


class _Models(Collector):
    """Metrics of each model, made when they are scraped."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield what status says of every model."""
        families = _Families()
        for key in self._store.models():
            if model := self._store.model(key):
                families.add(key, model.status)
        yield from families.all()


class _Families:
    """One page about all models."""

    def __init__(self) -> None:
        model = ["namespace", "name"]
        self.info = GaugeMetricFamily(
            "modelward_model_info", "Revisions of a model.", labels=[*model, "stable", "canary"]
        )
        self.condition = GaugeMetricFamily(
            "modelward_condition",
            "Condition of a model: 1 True, 0 False, -1 Unknown.",
            labels=[*model, "type"],
        )
        self.weight = GaugeMetricFamily(
            "modelward_canary_weight_percent",
            "Share of the traffic that the canary should get.",
            labels=model,
        )
        self.step = GaugeMetricFamily(
            "modelward_rollout_step", "Step of the canary, from 0; absent without one.", labels=model
        )
        self.odds = GaugeMetricFamily(
            "modelward_analysis_odds", "Odds against chance that the canary is worse.", labels=model
        )
        self.rate = GaugeMetricFamily(
            "modelward_analysis_rate",
            "Rate or value of a metric since the canary began, by version.",
            labels=[*model, "metric", "arm"],
        )

    def all(self) -> tuple[GaugeMetricFamily, ...]:
        """All families."""
        return (self.info, self.condition, self.weight, self.step, self.odds, self.rate)

    def add(self, key: Key, status: ModelDeploymentStatus) -> None:
        """What one status says. Whatever that is, the page is one: each series once, and numbers only."""
        rollout = status.rollout if status.canary_revision else None
        self.info.add_metric([*key, status.stable_revision, status.canary_revision], 1)
        self.weight.add_metric(key, rollout.weight_percent if rollout else 0)
        if rollout:
            self.step.add_metric(key, rollout.step)
        for kind, value in {
            each.type: _CONDITION_VALUES.get(each.status) for each in status.conditions
        }.items():
            if value is not None:
                self.condition.add_metric([*key, kind], value)
        if status.analysis:
            self._add_analysis(key, status.analysis)

    def _add_analysis(self, key: Key, analysis: AnalysisStatus) -> None:
        if (odds := number(analysis.odds)) is not None:
            self.odds.add_metric(key, odds)
        for name, metric in {each.name: each for each in analysis.metrics}.items():
            for arm, rate in (("canary", number(metric.canary_rate)), ("stable", number(metric.stable_rate))):
                if rate is not None:
                    self.rate.add_metric([*key, printable(name), arm], rate)
