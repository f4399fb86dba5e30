"""Two replicas of a Prometheus behind one address, without a label that distinguishes them (F12).

Each query is answered by another one, and each scrapes at times of its own: what is read must go on as if one had been
asked. Orders of answers, missed scrapes, and restarts of replicas and of the pods are drawn.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from modelward.analysis.counters import Counters, RatioCounts, Sample
from modelward.analysis.readings import Arm, Poll, RatioReading
from modelward.clients.prometheus import Prometheus, Series
from modelward.rollout import observed
from modelward.sampling.prometheus import PrometheusSource, boundary
from modelward.sampling.queries import LabelNames, Queries
from modelward.sampling.scrapes import Newest, Scrape
from modelward.sampling.selectors import parse_sum
from modelward.sampling.subject import Side
from modelward.sampling.targets import RatioTarget
from support import virtual_time
from support.little_prometheus import LOOKBACK_SECONDS, LittlePrometheus, Timeseries
from support.repeatable import examples

KEY: Final = ("shop", "fraud")
REVISIONS: Final = {Arm.CANARY: "bcdfghjkl2", Arm.STABLE: "mnpqrstvw4"}
ERRORS: Final = RatioTarget(
    name="errors", hits=parse_sum('hits{code="5"}', "f"), total=parse_sum("hits", "f")
)
BEGAN: Final = boundary(1_763_800_000.0, 60)
EVERY: Final = 15.0
POLLS: Final = 24
RATE: Final = 40.0
"""Requests a second of a pod; one in eleven fails."""


@dataclass(frozen=True, kw_only=True)
class Scraped(Timeseries):
    """A series as one replica has it: by the scrapes that it made; None is a scrape that failed, the mark of an end."""

    scrapes: tuple[tuple[float, float | None], ...] = ()

    def point(self, at: float) -> tuple[float, float] | None:
        """The newest scrape, unless it failed, or is too old to be shown."""
        number = bisect_right(self.scrapes, at, key=lambda scrape: scrape[0])
        time, value = self.scrapes[number - 1] if number else (-math.inf, None)
        return None if value is None or at - time > LOOKBACK_SECONDS else (time, value)


@dataclass(frozen=True)
class Replica:
    """When one replica scrapes."""

    offset: float
    missed: frozenset[int]
    """Scrapes that failed: its series end, and begin again."""
    down: tuple[float, float]
    """From when and for how long it was away: its last values stay. Who asks is answered by the other one."""

    def scrapes(self, value: Callable[[float], float | None]) -> Iterator[tuple[float, float | None]]:
        """Times and values, from five minutes before the first poll."""
        for number in range(-20, POLLS + 1):
            at = BEGAN + number * EVERY + self.offset
            if not self.is_down(at):
                yield at, None if number in self.missed else value(at)

    def is_down(self, at: float) -> bool:
        """Whether it is away."""
        return self.down[0] <= at - BEGAN < sum(self.down)


@dataclass
class OneAddress:
    """Who answers is drawn, query by query."""

    replicas: list[tuple[Replica, LittlePrometheus]]
    order: Iterator[int]

    async def instant(self, query: str, time: float) -> list[Series]:
        """As one of them has it."""
        found = self._who(time).evaluate(query)(time)
        return [Series(labels=dict(key), points=((time, value),)) for key, value in found.items()]

    async def range(self, query: str, start: float, end: float, step: float) -> list[Series]:
        """As one of them has it, all the way."""
        vector, points = (
            self._who(end).evaluate(query),
            dict[tuple[tuple[str, str], ...], list[tuple[float, float]]](),
        )
        for number in range(int((end - start) / step + 1e-9) + 1):
            at = start + number * step
            for key, value in vector(at).items():
                points.setdefault(key, []).append((at, value))
        return [Series(labels=dict(key), points=tuple(each)) for key, each in points.items()]

    def _who(self, time: float) -> LittlePrometheus:
        there = [server for replica, server in self.replicas if not replica.is_down(time)]
        chosen = next(self.order)
        return there[chosen % len(there)] if there else self.replicas[chosen][1]


@dataclass(frozen=True)
class Pod:
    """A page of counters. They begin anew when its server is restarted, which the page shows."""

    arm: Arm
    restarts: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """As Kubernetes makes it."""
        return f"fraud-{REVISIONS[self.arm]}-5d4f-abcde"

    def watched(self) -> observed.Pod:
        """As the operator knows it: its container runs since long."""
        long_ago = datetime.fromtimestamp(BEGAN - 7200, tz=UTC)
        return observed.Pod(name=self.name, revision=REVISIONS[self.arm], started=long_ago, ready=True)

    def began(self, at: float) -> float:
        """When the server that answers then was started."""
        return max(
            (BEGAN + restart for restart in self.restarts if BEGAN + restart <= at), default=BEGAN - 7200
        )

    def count(self, at: float, share: float) -> float:
        """Cases since then."""
        return math.floor((at - self.began(at)) * RATE * share)

    def series(self, replica: Replica) -> Iterator[Scraped]:
        """What a replica has of it."""
        values: Mapping[tuple[str, str], Callable[[float], float]] = {
            ("hits", "2"): lambda at: self.count(at, 10 / 11),
            ("hits", "5"): lambda at: self.count(at, 1 / 11),
            ("process_start_time_seconds", ""): self.began,
            ("up", ""): lambda _: 1.0,
        }
        own = {"namespace": KEY[0], "pod": self.name, "job": "pods", "instance": self.name}
        for (metric, code), value in values.items():
            labels = {**own, "__name__": metric, **({"code": code} if code else {})}
            yield Scraped(labels=labels, value=value, scrapes=tuple(replica.scrapes(value)))


async def read(
    replicas: Iterable[Replica], pods: list[Pod], order: Iterator[int], interval: float, at_once: int
) -> list[Poll]:
    """The polls of a rollout; after each pause as many at once."""
    servers = [
        (each, LittlePrometheus([one for pod in pods for one in pod.series(each)])) for each in replicas
    ]
    server = cast("Prometheus", OneAddress(servers, order))
    source = PrometheusSource(queries=Queries(server=server, labels=LabelNames()))
    sides = {arm: Side(revision=name, wanted=(ERRORS,), endpoint=None) for arm, name in REVISIONS.items()}
    newest, polls = Newest(), list[Poll]()
    times = [BEGAN + interval * number for number in range(POLLS)]
    for first in range(0, POLLS, at_once):
        part = tuple(times[first : first + at_once])
        found = await source.polls(
            KEY,
            sides,
            part,
            interval=interval,
            weight_percent=10,
            pods=[pod.watched() for pod in pods],
            newest=newest,
        )
        polls += [each.poll for each in found]
    return polls


def samples(polls: Iterable[Poll]) -> list[Sample]:
    """What is counted."""
    counters, found = Counters(), []
    for poll in polls:
        counters, sample = counters.advance(poll)
        found += [sample] if sample else []
    return found


def counted(found: Iterable[Sample]) -> float:
    """Cases of the canary in all."""
    each = (sample.metrics["errors"].canary for sample in found if "errors" in sample.metrics)
    return sum(counts.total for counts in each if isinstance(counts, RatioCounts))


REPLICAS: Final = st.builds(
    Replica,
    offset=st.floats(0, EVERY - 0.01).map(lambda each: round(each, 3)),
    missed=st.frozensets(st.integers(-2, POLLS), max_size=6),
    down=st.tuples(st.floats(-30, POLLS * EVERY), st.sampled_from([0.0, 4.0, 20.0, 50.0, 120.0])),
)
ORDERS: Final = st.one_of(
    st.integers(0, 2**32).map(lambda seed: tuple((seed >> number) & 1 for number in range(32))),
    st.sampled_from([(0, 1), (0, 0, 1), (0, 1, 1, 0, 1), (0,) * 9 + (1,) * 4]),
)


def turns(order: tuple[int, ...]) -> Iterator[int]:
    """The order again and again."""
    while True:
        yield from order


@settings(max_examples=examples(25), deadline=None)
@given(
    replicas=st.tuples(REPLICAS, REPLICAS),
    order=ORDERS,
    interval=st.sampled_from([5.0, 15.0]),
    at_once=st.sampled_from([1, 1, 4]),
)
def test_f12_an_older_scrape_is_no_reading(
    replicas: tuple[Replica, Replica], order: tuple[int, ...], interval: float, at_once: int
) -> None:
    """Whoever answers: counters never fall, hits and cases are of one scrape, and nothing counts twice."""
    pods = [Pod(arm) for arm in Arm]
    polls = virtual_time.run(read(replicas, pods, turns(order), interval, at_once))
    totals = list[float]()
    for poll in polls:
        for pod in poll.pods:
            reading = pod.metrics["errors"]
            assert isinstance(reading, RatioReading)
            assert abs(reading.total - 11 * reading.hits) <= 12
            totals += [reading.total] if pod.arm is Arm.CANARY else []
    assert all(before <= after for before, after in pairwise(totals))
    found = samples(polls)
    assert not any(sample.flaws or sample.uncertain for sample in found)
    assert counted(found) <= (totals[-1] - totals[0] if totals else 0)


@settings(max_examples=examples(25), deadline=None)
@given(
    replicas=st.tuples(REPLICAS, REPLICAS),
    order=ORDERS,
    restarts=st.lists(st.floats(1, POLLS * 5), min_size=1, max_size=2),
)
def test_f12_a_restart_of_a_pod_is_one_reset_for_all_replicas(
    replicas: tuple[Replica, Replica], order: tuple[int, ...], restarts: list[float]
) -> None:
    """One has seen it, the other has not yet: never a counter that jumps, never more than there was."""
    pods = [Pod(Arm.CANARY, tuple(restarts)), Pod(Arm.STABLE)]
    polls = virtual_time.run(read(replicas, pods, turns(order), 5.0, 1))
    found = samples(polls)
    assert not any(sample.flaws for sample in found)
    # A process that is new and shows more than the one before: from where it counts is unknown, for that poll.
    assert sum(bool(sample.uncertain) for sample in found) <= len(restarts)
    assert counted(found) <= RATE * (polls[-1].time - polls[0].time + EVERY) + 2


def test_f12_scrapes_that_are_close_have_no_order() -> None:
    """The time of a scrape is that of its request: of two, the later may have been answered first."""
    newest = Newest()
    first, close, older, later = (
        Scrape(at, RatioReading(hits=0, total=total))
        for at, total in ((10.0, 9), (10.1, 8), (5.0, 4), (25.0, 20))
    )
    assert newest.of("pod", "errors", first) is first
    assert newest.of("pod", "errors", close) is first
    assert newest.of("pod", "errors", older) is first
    assert newest.of("other", "errors", older) is older
    assert newest.of("pod", "errors", later) is later
    newest.forget(25.0)
    assert newest.of("pod", "errors", first) is later
    assert newest.of("other", "errors", older) is older
