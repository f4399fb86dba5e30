"""What is wanted of a page or a server: the metrics of one rollout, by name, as selectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.analysis_policy import AnalysisPolicy, Metric, SignalName
from modelward.api.signals import Signals, Unit
from modelward.sampling.selectors import Selector, Sum, parse_selector, parse_sum

SECONDS: Final = {Unit.SECONDS: 1.0, Unit.MILLISECONDS: 1e-3, Unit.MICROSECONDS: 1e-6}


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioTarget:
    """Two counters; each may be the sum of some."""

    name: str
    hits: Sum
    total: Sum


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramTarget:
    """A classic histogram; `buckets` are its series with `le`."""

    name: str
    buckets: Selector
    scale: float = 1.0
    """What a bound is multiplied with: durations become seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GaugeTarget:
    """A value as it is."""

    name: str
    gauge: Selector


SampleTarget = RatioTarget | HistogramTarget | GaugeTarget


def sample_targets(
    policy: AnalysisPolicy, signals: Signals, variables: Mapping[str, str] = MappingProxyType({})
) -> tuple[SampleTarget, ...]:
    """What `spec.analysis` asks for, or else every signal that the runtime declares.

    A signal that the runtime lacks is left out. `variables` are those that $(NAME) in a selector stands for. Raises
    MetricsUnknown for a selector that cannot be used, naming its field.
    """
    if not policy.metrics:
        found = [(f"runtime signals.{name}", _signal(name, name, signals)) for name in SignalName]
    else:
        found = [
            (f"spec.analysis.metrics[{index}]", _metric(index, metric, signals))
            for index, metric in enumerate(policy.metrics)
        ]
    return tuple(_expanded(each, variables, field) for field, each in found if each)


def _expanded(wanted: SampleTarget, variables: Mapping[str, str], field: str) -> SampleTarget:
    try:
        match wanted:
            case RatioTarget():
                hits, total = (
                    Sum(tuple(part.expanded(variables) for part in each.parts))
                    for each in (wanted.hits, wanted.total)
                )
                return replace(wanted, hits=hits, total=total)
            case HistogramTarget():
                return replace(wanted, buckets=wanted.buckets.expanded(variables))
            case GaugeTarget():
                return replace(wanted, gauge=wanted.gauge.expanded(variables))
    except ValueError as error:
        raise MetricsUnknown(Unknown.SELECTOR_INVALID, f"{field}: {error}") from error


def _metric(index: int, metric: Metric, signals: Signals) -> SampleTarget | None:
    field = f"spec.analysis.metrics[{index}]"
    if metric.signal:
        return _signal(metric.name, metric.signal, signals)
    if metric.hits and metric.total:
        return _ratio(metric.name, metric.hits, metric.total, field)
    if metric.histogram:
        return _histogram(metric.name, metric.histogram, metric.unit, field)
    if metric.gauge:
        return GaugeTarget(name=metric.name, gauge=parse_selector(metric.gauge, f"{field}.gauge"))
    return None


def _signal(name: str, signal: SignalName, signals: Signals) -> SampleTarget | None:
    field = f"runtime signals.{signal}"
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


def _ratio(name: str, hits: str, total: str, field: str) -> RatioTarget:
    return RatioTarget(
        name=name,
        hits=parse_sum(hits, f"{field}.hits"),
        total=parse_sum(total, f"{field}.total"),
    )


def _histogram(name: str, histogram: str, unit: Unit | None, field: str) -> HistogramTarget:
    return HistogramTarget(
        name=name,
        buckets=_of_family(parse_selector(histogram, f"{field}.histogram")),
        scale=SECONDS[unit or Unit.SECONDS],
    )


def _of_family(selector: Selector) -> Selector:
    """The buckets of a histogram, which may be given by the name of its family or of its buckets."""
    return selector if selector.name.endswith("_bucket") else selector.named("_bucket")
