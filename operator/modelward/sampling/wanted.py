"""What is wanted of a page or a server: the metrics of one rollout, by name, as selectors."""

from dataclasses import dataclass
from typing import Final

from modelward.api.analysis_policy import AnalysisPolicy, Metric, SignalName
from modelward.api.signals import Signals, Unit
from modelward.sampling.selectors import Selector, parse_selector

SECONDS: Final = {Unit.SECONDS: 1.0, Unit.MILLISECONDS: 1e-3, Unit.MICROSECONDS: 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRatio:
    """Two counters."""

    name: str
    hits: Selector
    total: Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedHistogram:
    """A classic histogram; `buckets` are its series with `le`."""

    name: str
    buckets: Selector
    scale: float = 1.0
    """What a bound is multiplied with: durations become seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGauge:
    """A value as it is."""

    name: str
    gauge: Selector


Wanted = WantedRatio | WantedHistogram | WantedGauge


def wanted_metrics(policy: AnalysisPolicy, signals: Signals) -> tuple[Wanted, ...]:
    """What `spec.analysis` asks for, or else every signal that the runtime declares.

    A signal that the runtime lacks is left out. Raises MetricsUnknown for a selector that cannot be used,
    naming its field.
    """
    if not policy.metrics:
        found = [_signal(name, name, signals, "runtime") for name in SignalName]
    else:
        found = [_metric(index, metric, signals) for index, metric in enumerate(policy.metrics)]
    return tuple(each for each in found if each)


def _metric(index: int, metric: Metric, signals: Signals) -> Wanted | None:
    field = f"spec.analysis.metrics[{index}]"
    if metric.signal:
        return _signal(metric.name, metric.signal, signals, "runtime")
    if metric.hits and metric.total:
        return _ratio(metric.name, metric.hits, metric.total, field)
    if metric.histogram:
        return _histogram(metric.name, metric.histogram, metric.unit, field)
    if metric.gauge:
        return WantedGauge(name=metric.name, gauge=parse_selector(metric.gauge, f"{field}.gauge"))
    return None


def _signal(name: str, signal: SignalName, signals: Signals, owner: str) -> Wanted | None:
    field = f"{owner} signals.{signal}"
    match signal:
        case SignalName.ERRORS:
            errors = signals.errors
            return _ratio(name, errors.hits, errors.total, field) if errors else None
        case SignalName.LATENCY:
            latency = signals.latency
            return _histogram(name, latency.histogram, latency.unit, field) if latency else None
        case SignalName.PREDICTIONS:
            predictions = signals.predictions
            return _histogram(name, predictions.histogram, None, field) if predictions else None


def _ratio(name: str, hits: str, total: str, field: str) -> WantedRatio:
    return WantedRatio(
        name=name,
        hits=parse_selector(hits, f"{field}.hits"),
        total=parse_selector(total, f"{field}.total"),
    )


def _histogram(name: str, histogram: str, unit: Unit | None, field: str) -> WantedHistogram:
    return WantedHistogram(
        name=name,
        buckets=parse_selector(histogram, f"{field}.histogram").named("_bucket"),
        scale=SECONDS[unit or Unit.SECONDS],
    )
