"""The parts put together, and what the store holds of models without a rollout."""

import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from modelward.analysis.policy import policy_of
from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.api.analysis_policy import PODS
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.cache.store import Store
from modelward.clients.clock import boot_seconds
from modelward.clients.prometheus import Prometheus
from modelward.clients.scrape import Scraper
from modelward.errors import InvalidSettings
from modelward.rollout.observed import Pod
from modelward.sampling.baseline import Baseline, BaselineModel
from modelward.sampling.pods import PodSource
from modelward.sampling.prometheus import PrometheusSource
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.sampler import NamedSource, Sampler
from modelward.sampling.subject import side_of, signals_of
from modelward.sampling.supervisor import Supervisor
from modelward.settings import MetricSource, MetricsSettings

_MOST_KNOWN: Final = 1024
"""Models whose snapshots are kept as read: those that have their window, and more."""


def steady_clock() -> Callable[[], float]:
    """Unix seconds that never go back: the clock on the wall, as it was, and what has passed since."""
    start = time.time() - boot_seconds()
    return lambda: start + boot_seconds()


@dataclass(slots=True)
class BaselineModels:
    """What may be read of a model while nothing is rolled out; kept until its spec or revision changes."""

    store: Store
    _known: dict[Key, tuple[tuple[str, int, str], BaselineModel | None]] = field(default_factory=dict)

    def pods(self, key: Key) -> tuple[Pod, ...]:
        """The pods of a model, as the watch shows them."""
        model = self.store.model(key)
        return self.store.pods(model) if model else ()

    def noise(self, key: Key, revision: str) -> str:
        """What was learnt of a revision's pods, as its snapshot keeps it; empty if nothing was."""
        model = self.store.model(key)
        snapshots = self.store.snapshots(model.uid) if model else ()
        return next(
            (each.noise for each in snapshots if each.child.revision == revision and not each.flaw), ""
        )

    def model_of(self, key: Key) -> BaselineModel | None:
        """The model, if it serves, has signals, and no rollout is under way."""
        model = self.store.model(key)
        if model is None or model.deleting or model.problem:
            self._known.pop(key, None)
            return None
        status = model.status
        under_way = status.canary_revision and status.rollout and status.rollout.weight_percent
        if under_way or not status.stable_revision or model.spec.analysis.source != PODS:
            return None
        state = model.uid, model.generation, status.stable_revision
        known = self._known.get(key)
        if known is None or known[0] != state:
            known = state, self._baseline_model(key, model)
            self._known[key] = known
            while len(self._known) > _MOST_KNOWN:
                self._known.pop(next(iter(self._known)))
        return self._as_of_now(model, known[1])

    def _baseline_model(self, key: Key, model: Model) -> BaselineModel | None:
        name, analysis = model.status.stable_revision, model.spec.analysis
        snapshots = self.store.snapshots(model.uid)
        revision = next((each.read() for each in snapshots if each.child.revision == name), None)
        try:
            side = side_of(name, revision, analysis)
            metrics = policy_of(analysis, model.spec.rollout, signals_of(name, revision)).metrics
        except MetricsUnknown:
            return None
        return BaselineModel(key=key, side=side, metrics=metrics, pods=0)

    def _as_of_now(self, model: Model, baseline_model: BaselineModel | None) -> BaselineModel | None:
        if baseline_model is None:
            return None
        revision = baseline_model.side.revision
        return replace(baseline_model, pods=sum(pod.revision == revision for pod in self.store.pods(model)))


@asynccontextmanager
async def sampling(
    store: Store,
    settings: MetricsSettings,
    wake: Callable[[Key], None],
    supervisor: Supervisor,
    count: Callable[[str], None] = lambda _result: None,
) -> AsyncIterator[tuple[Sampler, Baseline]]:
    """A Sampler that may be used at once, and the reading at rest, whose `run` is a part of the process.

    `supervisor` restarts its tasks; `count` is called with how each reading of a page went. Raises InvalidSettings if a source's CA file cannot be read.
    """
    servers = [(source, _server(source)) for source in settings.sources]
    scraper = Scraper(timeout=settings.scrape_timeout_seconds)  # after all that may raise: it is to be closed
    clock, at_rest = steady_clock(), BaselineModels(store)
    pods = PodSource(scraper, at_rest.pods, count)
    rest = Baseline(
        pods=pods,
        models=lambda: list(store.models()),
        model_of=at_rest.model_of,
        clock=clock,
        scrapes_per_second=settings.scrapes_per_second,
        remembered=at_rest.noise,
        wake=wake,
    )
    named = {source.name: _named(source, server) for source, server in servers}
    sampler = Sampler(
        pods=pods,
        sources=named,
        clock=clock,
        wake=wake,
        noise=rest.noise,
        ripe=rest.ripe,
        supervisor=supervisor,
    )
    try:
        yield sampler, rest
    finally:
        await sampler.stop()
        await scraper.close()
        for _, server in servers:
            await server.close()


def _server(source: MetricSource) -> Prometheus:
    try:
        return Prometheus(
            name=source.name,
            url=source.url,
            token_file=Path(source.token_file) if source.token_file else None,
            ca_file=Path(source.ca_file) if source.ca_file else None,
            timeout=source.timeout_seconds,
        )
    except (OSError, ssl.SSLError) as error:
        raise InvalidSettings(f"metrics.sources {source.name}: caFile {source.ca_file}: {error}") from error


def _named(source: MetricSource, server: Prometheus) -> NamedSource:
    labels = LabelNames(pod=source.pod_label, namespace=source.namespace_label)
    queries = Queries(server=server, labels=labels)
    return NamedSource(source=PrometheusSource(queries=queries), delay_seconds=source.delay_seconds)
