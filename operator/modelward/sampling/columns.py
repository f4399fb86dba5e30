"""One metric of one revision in the answer of a metric source: what is asked, and what it says of each pod.

All of it is asked for in one query with the times of the scrapes: hits, cases and times of different servers would make
no reading.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.readings import Reading
from modelward.analysis.sampled_evidence import MetricsProblem, MetricsUnknown, Unknown
from modelward.clients.prometheus import Series
from modelward.sampling.exposition import gauge, histogram, missing, ratio
from modelward.sampling.lines import Page
from modelward.sampling.queries import Part
from modelward.sampling.scrapes import Scrape
from modelward.sampling.selectors import Selector
from modelward.sampling.spelling import as_shown, spellings
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget, SampleTarget

TARGET: Final = ("job", "instance")
"""Which scrape a series comes from."""

Replica = tuple[str, ...]
"""Who made a scrape, where several do."""
Cell = tuple[str, tuple[str, ...], float]
"""`le`, the scrape that it comes from (its target, and its replica), the value."""
Table = Mapping[tuple[float, str], list[Cell]]
"""By time and pod."""
_EMPTY: Final[list[Cell]] = []
_NO_PAGE: Final = Page(series={}, types={})


@dataclass(frozen=True, slots=True)
class Grouping:
    """Values of one scrape are put together: by target, and by the labels that distinguish several scrapes of one page."""

    replicas: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that distinguish scrapes."""
        return (*TARGET, *self.replicas)

    def parts(self, wanted: SampleTarget) -> tuple[Part, ...]:
        """What is asked of a metric."""
        values = [self.values(wanted, selector) for selector in _selectors(wanted)]
        times = [self.times(selector, which) for selector in mains(wanted) for which in ("max", "min")]
        counts = [self.counts(wanted.gauge)] if isinstance(wanted, GaugeTarget) else []
        return (*values, *times, *counts)

    def values(self, wanted: SampleTarget, selector: Selector) -> Part:
        """The counters; of a gauge the mean, which is its value if it is one series."""
        le = ("le",) if isinstance(wanted, HistogramTarget) else ()
        operator = "avg" if isinstance(wanted, GaugeTarget) else "sum"
        return Part(selector=selector, operator=operator, by=(*self.labels, *le))

    def counts(self, selector: Selector) -> Part:
        """How many series there are."""
        return Part(selector=selector, operator="count", by=self.labels)

    def times(self, selector: Selector, which: str = "max") -> Part:
        """When the series were scraped, the last of them or ("min") the first."""
        return Part(selector=selector, operator=which, by=self.labels, function="timestamp")


def scrapes_of(selector: Selector) -> Part:
    """When each of the series was scraped, with all labels."""
    return Part(selector=selector, operator="max", by=None, function="timestamp")


def mains(wanted: SampleTarget) -> tuple[Selector, ...]:
    """The series by which is seen when a metric was scraped."""
    match wanted:
        case RatioTarget():
            return tuple(each for part in wanted.total.parts for each in spelled(part))
        case HistogramTarget():
            return (wanted.buckets,)
        case GaugeTarget():
            return (wanted.gauge,)


def _selectors(wanted: SampleTarget) -> tuple[Selector, ...]:
    if isinstance(wanted, RatioTarget):
        return (*mains(wanted), *(each for part in wanted.hits.parts for each in spelled(part)))
    return mains(wanted)


def spelled(selector: Selector) -> tuple[Selector, ...]:
    """The selector, and the same of the counter whose family the name may be: a source has no types that would show it."""
    name, other = spellings(selector.name)
    return (selector, Selector(other, selector.matchers)) if len(other) > len(name) else (selector,)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one server said."""

    grouping: Grouping
    tables: Mapping[Part, Table]

    def has(self, wanted: SampleTarget, selector: Selector) -> bool:
        """Whether any series is meant by a selector."""
        return bool(self.tables[self.grouping.values(wanted, selector)])

    def are_of_one_scrape(self, wanted: SampleTarget) -> bool:
        """Whether all series of each target were read at one time."""
        return all(
            self._values_of(self.grouping.times(selector))
            == self._values_of(self.grouping.times(selector, "min"))
            for selector in mains(wanted)
        )

    def _values_of(self, part: Part) -> dict[tuple[float, str], list[Cell]]:
        return {place: sorted(cells) for place, cells in self.tables[part].items()}


def tables_of(answer: Mapping[Part, Iterable[Series]], grouping: Grouping, pod: str) -> Answer:
    """An answer by time and pod; `pod` is what the source calls that label."""
    tables = {part: _table(series, grouping, pod) for part, series in answer.items()}
    return Answer(grouping=grouping, tables=tables)


def _table(found: Iterable[Series], grouping: Grouping, pod: str) -> Table:
    table: dict[tuple[float, str], list[Cell]] = defaultdict(list)
    for series in found:
        target = tuple(series.labels.get(label, "") for label in grouping.labels)
        for at, value in series.points:
            cell = series.labels.get("le", ""), target, value
            table[round(at, 3), series.labels.get(pod, "")].append(cell)
    return dict(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """What came in for one metric of one revision."""

    wanted: SampleTarget
    answer: Answer
    page: Page = field(default=_NO_PAGE)
    """What there is of the names of which nothing was meant."""
    problem: MetricsUnknown | None = None
    """Why it says nothing, although there may be series."""

    @property
    def missing(self) -> MetricsProblem:
        """What is said while no pod shows it."""
        return (self.problem or missing(self.wanted.name, mains(self.wanted)[0])).problem

    def pods(self, time: float) -> set[str]:
        """The pods that show it at a time."""
        times = self.answer.grouping.times
        tables = (self.answer.tables[times(selector)] for selector in mains(self.wanted))
        return {pod for table in tables for at, pod in table if at == time}

    def scrape(self, time: float, pod: str) -> Scrape:
        """The last scrape of a pod that shows it."""
        scraped, replica = self._last(time, pod)
        try:
            return Scrape(scraped, self._checked(self._read(time, pod, replica)))
        except MetricsUnknown as unknown:
            return Scrape(scraped, unknown)

    def _last(self, time: float, pod: str) -> tuple[float, Replica]:
        """When it was scraped last, and by whom: whoever ends or misses one, time goes on, and counters rise."""
        times = self.answer.grouping.times
        cells = [
            cell
            for selector in mains(self.wanted)
            for cell in self.answer.tables[times(selector)].get((time, pod), _EMPTY)
        ]
        return max((value, _replica(target)) for _, target, value in cells)

    def _read(self, time: float, pod: str, replica: Replica) -> Reading:
        def cells(part: Part) -> list[Cell]:
            found = self.answer.tables[part].get((time, pod), _EMPTY)
            return [cell for cell in found if _replica(cell[1]) == replica]

        grouping, wanted = self.answer.grouping, self.wanted
        match wanted:
            case RatioTarget():
                total, hits = (
                    [cell for part in parts for cell in cells(self._shown(part))]
                    for parts in (wanted.total.parts, wanted.hits.parts)
                )
                if not total:
                    raise self.problem or missing(wanted.name, wanted.total)
                return ratio(wanted, _numbers(hits), _numbers(self._of_one_target(total)), declared=False)
            case HistogramTarget():
                found = self._of_one_target(cells(grouping.values(wanted, wanted.buckets)))
                return histogram(wanted, [(le, value) for le, _, value in found])
            case GaugeTarget():
                found = self._of_one_target(cells(grouping.values(wanted, wanted.gauge)))
                # Of several series an average came back, which says nothing: they are shown as more than one.
                series = 1 if _numbers(cells(grouping.counts(wanted.gauge))) == [1.0] else 2
                return gauge(wanted, _numbers(found) * series)

    def _checked(self, reading: Reading) -> Reading:
        """Values that no counter can have are said first, as of a page."""
        if self.problem:
            raise self.problem
        return reading

    def _shown(self, selector: Selector) -> Part:
        return self.answer.grouping.values(self.wanted, as_shown(self.page, selector))

    def _of_one_target(self, cells: list[Cell]) -> list[Cell]:
        if len({target for _, target, _ in cells}) > 1:
            raise MetricsUnknown(
                Unknown.METRIC_INVALID,
                f"metric {self.wanted.name}: the source scrapes the same pod more than once (job, instance)",
            )
        return cells


def _replica(target: tuple[str, ...]) -> Replica:
    return target[len(TARGET) :]


def _numbers(cells: Collection[Cell]) -> list[float]:
    return [value for _, _, value in cells]
