"""From a metrics page to readings. What cannot be a counter or a histogram is no reading: unknown, never zero.

Native histograms have no text form, so they are not read; the classic buckets of the same metric are.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from modelward.analysis.readings import LARGEST_GAUGE, GaugeReading, HistogramReading, RatioReading, Reading
from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.fields import EXACT_INT_MAX
from modelward.sampling.lines import Line, Page, read_page
from modelward.sampling.selectors import Selector, Sum
from modelward.sampling.spelling import Seen, as_shown, labels_of, spellings, unmeant, without_labels
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget, SampleTarget

PROCESS_START: Final = "process_start_time_seconds"
"""What client libraries say of the process (https://prometheus.io/docs/instrumenting/writing_clientlibs/)."""
_SUFFIXES: Final = ("_total", "_bucket", "_count", "_sum")
_NO_TYPE: Final = frozenset({"untyped", "unknown"})
_COUNTERS: Final = frozenset({"counter", "histogram", "summary"}) | _NO_TYPE
_HISTOGRAMS: Final = frozenset({"histogram"}) | _NO_TYPE
_GAUGES: Final = frozenset({"gauge", "gaugehistogram", "stateset"}) | _NO_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What could be read, and why the rest could not."""

    metrics: Mapping[str, Reading]
    problems: Mapping[str, MetricsUnknown]
    """By the metric's name."""
    unmatched: Mapping[str, MetricsUnknown] = field(default_factory=dict)
    """Metrics without a case, whose total has series of which none is meant: by the name, with the nearest one."""
    labels: Mapping[str, Seen] = field(default_factory=dict)
    """By the name of a ratio: the labels that its series have."""
    unlabelled: Mapping[str, Reading] = field(default_factory=dict)
    """What a ratio is if a label that its series lack is on those of another pod: on failures only, say."""
    process_started: float | None = None
    """When the process that answered started; None: it does not say."""


def readings(text: str, wanted: Collection[SampleTarget]) -> Readings:
    """The readings of a page. Raises MetricsUnknown if it is none."""
    page = read_page(text, frozenset(name for each in wanted for name in names(each)), {PROCESS_START})
    metrics: dict[str, Reading] = {}
    problems: dict[str, MetricsUnknown] = {}
    for each in wanted:
        try:
            metrics[each.name] = _reading(page, each)
        except MetricsUnknown as problem:
            problems[each.name] = problem
    ratios = [each for each in wanted if isinstance(each, RatioTarget) and each.name in metrics]
    labels = {each.name: labels_of(page, each) for each in ratios}
    lacking = {each.name: unknown for each in ratios if (unknown := without_labels(labels[each.name], each))}
    return Readings(
        metrics={name: reading for name, reading in metrics.items() if name not in lacking},
        problems=problems | lacking,
        unmatched={each.name: near for each in ratios if (near := unmeant(page, each))},
        labels=labels,
        unlabelled={name: metrics[name] for name in lacking},
        process_started=_process_started(page),
    )


def names(wanted: SampleTarget) -> tuple[str, ...]:
    """Names of the series that a metric needs."""
    match wanted:
        case RatioTarget():
            return tuple(
                name for part in (*wanted.hits.parts, *wanted.total.parts) for name in spellings(part.name)
            )
        case HistogramTarget():
            return (wanted.buckets.name,)
        case GaugeTarget():
            return (wanted.gauge.name,)


def _process_started(page: Page) -> float | None:
    """What the page says of one process; of several, or what is no time, it says nothing."""
    found = [line.value for line in page.series.get(PROCESS_START, ())]
    return found[0] if len(found) == 1 and 0 < found[0] < math.inf else None


def _reading(page: Page, wanted: SampleTarget) -> Reading:
    match wanted:
        case RatioTarget():
            return _ratio(page, wanted)
        case HistogramTarget():
            lines = _chosen(page, wanted.buckets, _HISTOGRAMS)
            return histogram(wanted, [(line.labels.get("le", ""), line.value) for line in lines])
        case GaugeTarget():
            return gauge(wanted, _values(page, wanted.gauge, _GAUGES))


def _ratio(page: Page, wanted: RatioTarget) -> RatioReading:
    hits = [as_shown(page, part) for part in wanted.hits.parts]
    total = [as_shown(page, part) for part in wanted.total.parts]
    return ratio(
        wanted,
        [value for part in hits for value in _values(page, part, _COUNTERS)],
        [value for part in total for value in _values(page, part, _COUNTERS)],
        declared=any(_is_declared(page, part) or part.name in page.series for part in total),
    )


def ratio(
    wanted: RatioTarget, hits: Iterable[float], total: Iterable[float], *, declared: bool
) -> RatioReading:
    """The sums of two counters. A series is born with its first case, so hits that are absent are none.

    `declared`: the server says that it has such a counter; then a total that is absent is zero, too.
    """
    all_hits, all_total = _counters(wanted.name, hits), _counters(wanted.name, total)
    if not all_total and not declared:
        raise missing(wanted.name, wanted.total)
    sums = _counters(wanted.name, (sum(all_hits), sum(all_total)))
    return RatioReading(hits=sums[0], total=sums[1])


def histogram(wanted: HistogramTarget, cases: Iterable[tuple[str, float]]) -> HistogramReading:
    """The sums of buckets by `le`, bounds in seconds or as they are."""
    buckets: dict[float, float] = {}
    series: Counter[float] = Counter()
    for le, value in cases:
        bound = _bound(wanted.name, le) * wanted.scale
        buckets[bound] = buckets.get(bound, 0.0) + value
        series[bound] += 1
    if not buckets:
        raise missing(wanted.name, wanted.buckets)
    if math.inf not in buckets:
        raise _invalid(wanted.name, "its histogram has no bucket for all cases (+Inf)")
    if len(set(series.values())) > 1:
        raise _invalid(wanted.name, "its histograms have different bounds; name the labels of one")
    ordered = dict(sorted(buckets.items()))
    values = _counters(wanted.name, ordered.values())
    if any(after < before for before, after in pairwise(values)):
        raise _invalid(wanted.name, "the buckets of its histogram fall")
    return HistogramReading(buckets=ordered)


def gauge(wanted: GaugeTarget, values: Iterable[float]) -> GaugeReading:
    """The one value: a sum or a mean of several would be a guess."""
    found = list(values)
    if not found:
        raise missing(wanted.name, wanted.gauge)
    if len(found) > 1:
        raise _invalid(wanted.name, f"{wanted.gauge.name} has several series; name the labels of one")
    if not abs(found[0]) <= LARGEST_GAUGE:
        raise _invalid(wanted.name, "its value is no number, or too large to be counted with")
    return GaugeReading(value=found[0])


def missing(metric: str, selector: Selector | Sum) -> MetricsUnknown:
    """The problem that a series is not there."""
    return MetricsUnknown(Unknown.METRIC_MISSING, f"metric {metric}: there is no series {selector.text()}")


def _invalid(metric: str, why: str) -> MetricsUnknown:
    return MetricsUnknown(Unknown.METRIC_INVALID, f"metric {metric}: {why}")


def _values(page: Page, selector: Selector, types: frozenset[str]) -> list[float]:
    return [line.value for line in _chosen(page, selector, types)]


def _chosen(page: Page, selector: Selector, types: frozenset[str]) -> list[Line]:
    """The series that a selector means. Raises MetricsUnknown for a wrong type or a series that is there twice."""
    said = {kind for family in _families(selector.name) for kind in page.types.get(family, ())}
    if said and not said <= types:
        raise MetricsUnknown(Unknown.METRIC_INVALID, f"{selector.name} is of the wrong type ({_kinds(said)})")
    chosen = [line for line in page.series.get(selector.name, ()) if selector.accepts(line.labels)]
    if len({frozenset(line.labels.items()) for line in chosen}) < len(chosen):
        raise MetricsUnknown(Unknown.METRIC_INVALID, f"{selector.name} has the same series twice")
    return chosen


def _kinds(said: set[str]) -> str:
    known = said & {"counter", "gauge", "histogram", "summary", "gaugehistogram", "info", "stateset"}
    return ", ".join(sorted(known)) or "unknown to Prometheus"


def _families(name: str) -> list[str]:
    """What a series' family may be called: the name itself, or without the suffix of its kind."""
    return [name, *(name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix))]


def _is_declared(page: Page, selector: Selector) -> bool:
    return any(family in page.types for family in _families(selector.name))


def _counters(metric: str, values: Iterable[float]) -> list[float]:
    found = list(values)
    if not all(0 <= value <= EXACT_INT_MAX for value in found):
        raise _invalid(metric, "a counter of it is negative, too large to be exact, or no number")
    return found


def _bound(metric: str, le: str) -> float:
    try:
        bound = float(le)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise _invalid(metric, "a bucket of its histogram has no bound (le)")
    return bound
