"""phi, the noise of stable's own pods before a rollout: by how much their counts scatter more than chance lets.

Requests that fail in bursts, or pods that differ, break every test that takes requests for independent. Pods of
one version should share hits in proportion to their requests. Over blocks of time, Pearson's statistic

    X2 = sum over pods of (e_p - m n_p/n)^2 / (m n_p/n (1 - m/n))      (n requests and m hits of all pods)

has mean P - 1 if they do. For each length of blocks, with F the degrees of freedom of them all,

    phi = (max(X2, F) + 40) / (F + 20) + d(F) max(0, X2 - (F + c s) b) / (F + 4),    d(F) = 24 / (1 + ((F + 4) / h)^2)

and the largest counts: no history gives 2, much history what was seen (quasi-likelihood; McCullagh and Nelder,
Generalized Linear Models, 1989, section 4.5). b is 1 for the shortest blocks, and for longer ones what the shortest show.
What goes beyond it, by more than chance often shows, comes of pods that differ for a while. Chance is taken to show half a
standard deviation s = sqrt(2 F), c = 1/2, and a whole one in the longest blocks once one of them is over: there are so few
that luck would be inflated most. Of pods only so many are seen as there are, and the canary's is one more: the fewer
comparisons have shown it, the more noise is assumed (d). h is 16, and 6 (P - 1), if that is more, for the shortest blocks: a clump of
errors falls into one block, so that it is one draw for as many comparisons as there are pods. Blocks that are still open count, too: pods that
differ for minutes are seen before five minutes are over (docs/design/0017). With one pod, successive blocks stand in for
the pods.

phi belongs to a length of time: pods that differ for minutes scatter more over minutes than over seconds. A rollout that has
lasted for so many seconds is read by the noise of blocks up to the first length that is no shorter.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from math import inf, isfinite, log, sqrt
from typing import Any, Final

from modelward.analysis.counters import BucketCounts, RatioCounts, Values, clean, increment
from modelward.analysis.gauge import GRID_SECONDS, Spacing
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, GaugeReading, PodReading, Poll, Reading
from modelward.analysis.tracks import Origin, Track, begun
from modelward.api.analysis_policy import MetricKind
from modelward.api.fields import EXACT_INT_MAX
from modelward.errors import InvalidState

BLOCK_SECONDS: Final = (5.0, 15.0, 60.0, 300.0)
"""Lengths over which pods are compared; those shorter than the time between two polls fall together."""
PRIOR_X2: Final = 40.0
PRIOR_FREEDOM: Final = 20.0
PHI_WITHOUT_HISTORY: Final = PRIOR_X2 / PRIOR_FREEDOM
_INFLATION: Final = 24.0
"""So much is added to noise that hardly anything has shown, as a multiple of it;"""
_HALF_INFLATION: Final = 16.0
_BLOCKS_OF_CLUMPS: Final = 6
"""half as much once so many comparisons have, of the shortest blocks so many blocks of all pods, then less and less,"""
_FIRST_FREEDOM: Final = 4.0
"""of which so many are counted from the start: a single comparison shows nothing."""
_CHANCE: Final = 0.5
"""So many standard deviations of X2 above its mean are taken for chance,"""
_CHANCE_IN_LONGEST: Final = 1.0
"""so many in the longest blocks, once one of them is over."""
HALF_LIFE_SECONDS: Final = 1800.0
"""What was seen so long ago counts half, when stable is read for ever."""
ENOUGH_CASES: Final = 1000
"""Fewer cases than this since the first reading, and the pods' counters since their start are used instead."""
_MOST_PODS: Final = 1000
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricReference:
    """What stable used to do, for one metric."""

    phi: float = PHI_WITHOUT_HISTORY
    """Of a ratio or guard."""
    phis: Mapping[float, float] = field(default_factory=dict)
    """Of a histogram, by bound: of the cases above it (latency) or in the bucket below it (distribution)."""
    hits: float = 0
    total: float = 0
    histogram: BucketCounts = field(default_factory=BucketCounts)
    spacing_seconds: float = GRID_SECONDS
    """Of a gauge: how far apart two values must be to carry new information."""
    guessed: bool = False
    """Whether too little was seen of the pods to speak of noise: phi is then (nearly) that of no history."""
    freedom: float = 0
    """How much was seen of the pods: degrees of freedom of the shortest blocks."""
    from_totals: bool = False
    """Whether phi comes from successive blocks of a single pod: it is then blind to differences of pods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What stable used to do before the rollout. Empty: nothing is known."""

    metrics: Mapping[str, MetricReference] = field(default_factory=dict)
    phi_without_history: float = PHI_WITHOUT_HISTORY
    """phi of what `metrics` does not have."""

    def phi(self, name: str, bound: float | None = None) -> float:
        """The noise of a metric, of a histogram at `bound`."""
        known = self.metrics.get(name)
        if known is None:
            return self.phi_without_history
        return known.phi if bound is None else known.phis.get(bound, self.phi_without_history)


NO_HISTORY: Final = Reference()
INDEPENDENT: Final = Reference(phi_without_history=1.0)
"""Every request is taken to fail or not by itself: what the proof of the guarantee assumes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """The running sums of one metric for one block length; of each vector, one entry per test."""

    seconds: float
    x2: tuple[float, ...]
    freedom: tuple[float, ...]
    started: float | None = None
    """Time at which the open block began; None: it begins with the next poll."""
    pods: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Of the open block, by pod: cases, then hits."""
    previous: tuple[float, ...] = ()
    """Of the block before, all pods together."""

    def plus(self, pods: Mapping[str, tuple[float, ...]], span: tuple[float, float], keep: float) -> "_Block":
        """The sums after what `pods` did in `span`; `keep` is the share of the old sums that still counts."""
        merged = dict(self.pods)
        for pod, counts in pods.items():
            merged[pod] = _sum(merged[pod], counts) if pod in merged else counts
        started = span[0] if self.started is None else self.started
        aged = replace(
            self,
            started=started,
            pods=merged,
            x2=tuple(x2 * keep for x2 in self.x2),
            freedom=tuple(freedom * keep for freedom in self.freedom),
        )
        # The poll that is nearest to the end of the block closes it.
        half_an_interval = (span[1] - span[0]) / 2
        return aged.closed(span[1]) if span[1] - started >= self.seconds - half_an_interval else aged

    @property
    def shown(self) -> tuple[tuple[float, float, float], ...]:
        """X2, its degrees of freedom and what of them is chance, of each test, with the open block in them."""
        closed = self.closed(0.0)
        longest = self.seconds == BLOCK_SECONDS[-1]
        chance = (_CHANCE_IN_LONGEST if longest and over else _CHANCE for over in self.freedom)
        return tuple(zip(closed.x2, closed.freedom, chance, strict=True))

    def closed(self, time: float) -> "_Block":
        """The sums with the open block in them, and a new one begun."""
        rows = [row for row in self.pods.values() if row[0] > 0]
        all_pods = tuple(map(sum, zip(*rows, strict=True)))
        if len(rows) == 1 and self.previous:
            rows.append(self.previous)
        gained = [scatter(rows, test) for test in range(1, len(self.x2) + 1)]
        return replace(
            self,
            x2=tuple(old + x2 for old, (x2, _) in zip(self.x2, gained, strict=True)),
            freedom=tuple(old + freedom for old, (_, freedom) in zip(self.freedom, gained, strict=True)),
            started=time,
            pods={},
            previous=all_pods or self.previous,
        )


def scatter(rows: list[tuple[float, ...]], test: int) -> tuple[float, int]:
    """X2 and its degrees of freedom over `rows` of cases and hits, for the hits at index `test`."""
    cases, hits = sum(row[0] for row in rows), sum(row[test] for row in rows)
    if len(rows) < 2 or not 0 < hits < cases:
        return 0.0, 0
    rate = hits / cases
    return sum((row[test] - rate * row[0]) ** 2 / (rate * row[0] * (1 - rate)) for row in rows), len(rows) - 1


def phi(sums: Iterable[tuple[float, float, float]], pods: int) -> float:
    """phi from X2, degrees of freedom and standard deviations of chance of each block length, the shortest first."""
    first, *longer = sums
    usual = _shrunk(*first[:2])
    of_clumps = _inflated(*first, 1.0, max(_HALF_INFLATION, _BLOCKS_OF_CLUMPS * (pods - 1)))
    return max([of_clumps, *(_inflated(*each, usual, _HALF_INFLATION) for each in longer)])


def _shrunk(x2: float, freedom: float) -> float:
    """The noise that was seen, between that and 2 if little was. Less than chance lets is luck."""
    return (max(x2, freedom) + PRIOR_X2) / (freedom + PRIOR_FREEDOM)


def _inflated(x2: float, freedom: float, chance: float, usual: float, half: float) -> float:
    """The noise to be reckoned with: more than was seen, where few comparisons show more than is usual."""
    known = freedom + _FIRST_FREEDOM
    mark_inflated = _INFLATION / (1 + (known / half) ** 2)
    by_chance = (freedom + chance * sqrt(2 * freedom)) * usual
    return _shrunk(x2, freedom) + mark_inflated * max(0.0, x2 - by_chance) / known


def _sum(one: tuple[float, ...], other: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """What is summed up for one metric."""

    bounds: tuple[float, ...]
    blocks: tuple[_Block, ...]
    total: RatioCounts | BucketCounts
    most_pods: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Running sums over stable's pods. A value: `plus` gives the next one."""

    metrics: tuple[MetricPolicy, ...]
    half_life_seconds: float | None = None
    """None: all that is added counts the same, as for a finite history."""
    sums: Mapping[str, _Metric] = field(default_factory=dict)
    last: Mapping[str, Mapping[str, Track]] = field(default_factory=dict)
    """What is known of each counter of the pods that were there."""
    spacings: Mapping[str, Spacing] = field(default_factory=dict)
    """Of the gauges, by name; begun anew after a restart."""
    time: float | None = None

    def plus(self, poll: Poll) -> "Noise":
        """The sums after one more poll of stable's pods; the canary's are left aside."""
        if self.time is not None and poll.time <= self.time:
            return self
        now = {pod.pod: self._tracks(pod) for pod in poll.pods if pod.arm is Arm.STABLE}
        after = replace(self, last=now, time=poll.time, spacings=self._spaced(now, poll.time))
        if self.time is None:
            return after
        sums = dict(self.sums)
        for metric in self.metrics:
            if any(metric.name in pod and pod[metric.name].flaw for pod in now.values()):
                sums.pop(metric.name, None)  # what it has shown so far was wrong, too
            elif counted := self._counted(metric, now):
                sums[metric.name] = self._summed(metric, counted, (self.time, poll.time))
        return replace(after, sums=sums)

    def _tracks(self, pod: PodReading) -> dict[str, Track]:
        old, origin = self.last.get(pod.pod, {}), Origin(pod.started, pod.process_started)
        return {
            name: old[name].plus(reading, origin) if name in old else begun(reading, origin, reading)
            for name, reading in _sound(pod.metrics).items()
        }

    def _spaced(self, now: Mapping[str, Mapping[str, Track]], time: float) -> Mapping[str, Spacing]:
        spacings = dict(self.spacings)
        for metric in self.metrics:
            shown = {pod: tracks[metric.name].last for pod, tracks in now.items() if metric.name in tracks}
            values = {
                pod: reading.value for pod, reading in shown.items() if isinstance(reading, GaugeReading)
            }
            if values:
                spacings[metric.name] = spacings.get(metric.name, Spacing()).plus(values, time)
        return spacings

    def _counted(
        self, metric: MetricPolicy, now: Mapping[str, Mapping[str, Track]]
    ) -> dict[str, RatioCounts | BucketCounts]:
        """What each pod did, that was there before, too, and on the bounds of the first."""
        counted: dict[str, RatioCounts | BucketCounts] = {}
        bounds: tuple[float, ...] | None = None
        for pod in sorted(now):
            track = now[pod].get(metric.name)
            if track is None or not track.is_believed or metric.name not in self.last.get(pod, {}):
                continue
            counts = increment(track.base, track.last)
            if isinstance(counts, Values):
                continue
            shape = counts.bounds if isinstance(counts, BucketCounts) else None
            bounds = bounds if counted else shape
            if shape == bounds:
                counted[pod] = counts
        return counted

    def _summed(
        self,
        metric: MetricPolicy,
        counted: Mapping[str, RatioCounts | BucketCounts],
        span: tuple[float, float],
    ) -> _Metric:
        rows = {pod: _row(metric, counts) for pod, counts in counted.items()}
        total = total_of(counted.values())
        bounds = total.bounds if isinstance(total, BucketCounts) else ()
        old = self.sums.get(metric.name)
        interval = span[1] - span[0]
        keep = 0.5 ** (interval / self.half_life_seconds) if self.half_life_seconds else 1.0
        if old is None or old.bounds != bounds:
            blocks = _empty_blocks(len(next(iter(rows.values()))) - 1)
            old = _Metric(bounds=bounds, blocks=blocks, total=_scaled(total, 0))
        return _Metric(
            bounds=bounds,
            blocks=tuple(block.plus(rows, span, keep) for block in old.blocks),
            total=total_of([_scaled(old.total, keep), total]),
            most_pods=max(old.most_pods, len(rows)),
        )

    @property
    def cases(self) -> float:
        """Cases of the metric that shows most of them, as far as they count still."""
        return max((sums.total.total for sums in self.sums.values()), default=0.0)

    def reference(self, seconds: float = inf) -> Reference:
        """What is known by now, as it is read when a rollout has lasted for `seconds`."""
        return Reference(
            metrics={
                metric.name: known
                for metric in self.metrics
                if (known := self._known(metric.name, seconds)) is not None
            }
        )

    def _known(self, name: str, seconds: float) -> MetricReference | None:
        if name in self.spacings:
            return MetricReference(phi=1.0, spacing_seconds=self.spacings[name].seconds)
        sums = self.sums.get(name)
        total = sums.total if sums else None
        if total is None or total.total < ENOUGH_CASES:
            total = self._since_start(name) or total
        if total is None:
            return None
        phis = _phis(sums, seconds) if sums else []
        freedom = _rounded(max(sums.blocks[0].freedom)) if sums else 0.0
        histogram = total if isinstance(total, BucketCounts) else BucketCounts()
        return MetricReference(
            phi=phis[0] if sums and not sums.bounds else PHI_WITHOUT_HISTORY,
            phis=dict(zip(sums.bounds, phis, strict=False)) if sums else {},
            hits=total.hits if isinstance(total, RatioCounts) else 0,
            total=total.total,
            histogram=histogram,
            guessed=freedom < PRIOR_FREEDOM,
            freedom=freedom,
            from_totals=sums is not None and sums.most_pods == 1,
        )

    def _since_start(self, name: str) -> RatioCounts | BucketCounts | None:
        """What the pods that are there counted since they started; None: nothing, or they are not alike."""
        tracks = [pod[name] for pod in self.last.values() if name in pod]
        counts = [increment(None, track.last) for track in tracks if track.is_believed]
        countable = [count for count in counts if not isinstance(count, Values)]
        return total_of(countable) if countable and len({type(count) for count in countable}) == 1 else None


def total_of(counts: Iterable[RatioCounts | BucketCounts]) -> RatioCounts | BucketCounts:
    """The sum of counts of one kind. Raises TypeError for several kinds and for none."""
    return reduce(_both, counts)


def _both(one: RatioCounts | BucketCounts, other: RatioCounts | BucketCounts) -> RatioCounts | BucketCounts:
    if isinstance(one, RatioCounts) and isinstance(other, RatioCounts):
        return one.plus(other)
    if isinstance(one, BucketCounts) and isinstance(other, BucketCounts):
        return one.plus(other)
    raise TypeError("a ratio and a histogram do not add up")


def _sound(metrics: Mapping[str, Reading]) -> dict[str, Reading]:
    return {name: good for name, raw in metrics.items() if (good := clean(raw)) is not None}


def _row(metric: MetricPolicy, counts: RatioCounts | BucketCounts) -> tuple[float, ...]:
    """Cases, then the hits of each test: slower than each bound, or inside each bucket."""
    if isinstance(counts, RatioCounts):
        return counts.total, counts.hits
    if metric.kind is MetricKind.LATENCY:
        return counts.total, *(counts.total - below for below in counts.cumulative[:-1])
    return counts.total, *counts.in_buckets


def _empty_blocks(tests: int) -> tuple[_Block, ...]:
    zero = (0.0,) * tests
    return tuple(_Block(seconds=seconds, x2=zero, freedom=zero) for seconds in BLOCK_SECONDS)


def _phis(sums: _Metric, seconds: float) -> list[float]:
    """phi of each test in so many seconds, with the blocks that are still open."""
    shorter = (-inf, *BLOCK_SECONDS)
    counting = (block for block, length in zip(sums.blocks, shorter, strict=False) if length < seconds)
    return [phi(test, sums.most_pods) for test in zip(*(block.shown for block in counting), strict=True)]


def _scaled(counts: RatioCounts | BucketCounts, factor: float) -> RatioCounts | BucketCounts:
    if isinstance(counts, RatioCounts):
        return RatioCounts(hits=counts.hits * factor, total=counts.total * factor)
    return BucketCounts(bounds=counts.bounds, cumulative=tuple(count * factor for count in counts.cumulative))


def encode(noise: Noise) -> str:
    """The sums as compact JSON, about 1 KB. The open blocks, the last readings and the gauges are left out."""
    packed = [_VERSION, {name: _packed(sums) for name, sums in noise.sums.items()}]
    return json.dumps(packed, separators=(",", ":"), allow_nan=False)


def decode(
    text: str, metrics: tuple[MetricPolicy, ...], half_life_seconds: float | None = HALF_LIFE_SECONDS
) -> Noise:
    """The sums that were encoded; they go on with the next poll. Raises InvalidState."""
    try:
        packed = _current(*json.loads(text))
        sums = {
            metric.name: _unpacked(metric, packed[metric.name]) for metric in metrics if metric.name in packed
        }
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidState(f"the noise of the pods cannot be read: {error}") from error
    return Noise(metrics=metrics, half_life_seconds=half_life_seconds, sums=sums)


def _current(version: Any, packed: Any) -> Any:
    if version != _VERSION:
        raise ValueError("they are of another version")
    return packed


def _packed(sums: _Metric) -> list[Any]:
    """Bounds without infinity, the counts (hits and total, or by bucket), most pods, sums by block length."""
    total = sums.total
    counts = [total.hits, total.total] if isinstance(total, RatioCounts) else [*total.cumulative]
    blocks = [[[*map(_rounded, block.x2)], [*map(_rounded, block.freedom)]] for block in sums.blocks]
    return [sums.bounds[:-1], [*map(_rounded, counts)], sums.most_pods, blocks]


def _unpacked(metric: MetricPolicy, packed: Any) -> _Metric:
    finite, counts, most_pods, blocks = packed
    finite, counts = _numbers(finite), _sums(counts)
    bounds = (*finite, inf) if finite or len(counts) == 1 else ()
    made = tuple(
        _bounded(_Block(seconds=seconds, x2=_sums(x2), freedom=_sums(freedom)))
        for seconds, (x2, freedom) in zip(BLOCK_SECONDS, blocks, strict=True)
    )
    widths = {len(sums) for block in made for sums in (block.x2, block.freedom)}
    if (
        widths != {_tests(metric.kind, bounds)}
        or len(counts) != (len(bounds) or 2)
        or not isinstance(most_pods, int)
    ):
        raise ValueError("the sums do not fit together")
    total = (
        BucketCounts(bounds=bounds, cumulative=counts)
        if bounds
        else RatioCounts(hits=counts[0], total=counts[1])
    )
    return _Metric(bounds=bounds, blocks=made, total=total, most_pods=most_pods)


def _tests(kind: MetricKind, bounds: tuple[float, ...]) -> int:
    """How many hits there are of a case, as `_row` lays them out."""
    if not bounds:
        return 1
    return len(bounds) - 1 if kind is MetricKind.LATENCY else len(bounds)


def _bounded(block: _Block) -> _Block:
    """The sums, weighing no more than what was seen for ever would: they may have been edited, and are to fade."""
    most = _MOST_PODS * HALF_LIFE_SECONDS / log(2) / block.seconds
    shares = [min(1.0, most / freedom) if freedom else 0.0 for freedom in block.freedom]
    return replace(
        block,
        x2=tuple(x2 * share for x2, share in zip(block.x2, shares, strict=True)),
        freedom=tuple(freedom * share for freedom, share in zip(block.freedom, shares, strict=True)),
    )


def _numbers(values: Any) -> tuple[float, ...]:
    if not all(isinstance(value, int | float) and isfinite(value) for value in values):
        raise TypeError("a number is missing")
    return tuple(values)


def _sums(values: Any) -> tuple[float, ...]:
    sums = _numbers(values)
    if not all(0 <= value <= EXACT_INT_MAX for value in sums):
        raise ValueError("a sum is negative, or too large")
    return sums


def _rounded(number: float) -> float:
    return float(f"{number:.5g}")
