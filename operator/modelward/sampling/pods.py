"""One poll: the pages of all pods of a rollout, read together."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from modelward.analysis.readings import Arm, PodReading, Poll, Reading
from modelward.analysis.sampled_evidence import MetricsProblem, MetricsUnknown, Unknown
from modelward.api.objects import Key
from modelward.clients.scrape import Body, Page, Scraper
from modelward.rollout.observed import Pod
from modelward.sampling.exposition import Readings, readings
from modelward.sampling.spelling import Seen, together, without_labels
from modelward.sampling.subject import Side
from modelward.sampling.targets import RatioTarget, SampleTarget

MOST_PODS: Final = 64
"""Pods of an arm that are read. Of more, always the same ones: their names decide."""

METRICS_TYPES: Final = frozenset({"text/plain", "application/openmetrics-text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What a poll has found."""

    poll: Poll
    unread: Mapping[str, MetricsProblem] = field(default_factory=dict)
    """By pod: why its page could not be read."""
    lacking: Mapping[Arm, Mapping[str, MetricsProblem]] = field(default_factory=dict)
    """By arm and metric: why none of the arm's pods shows it."""
    unmatched: Mapping[Arm, Mapping[str, MetricsProblem]] = field(default_factory=dict)
    """By arm and metric: no case was counted, though each pod has series of that name. None of them is meant."""

    def without_unmatched(self) -> "Polled":
        """What was found, if what no series is meant by is unknown rather than none."""
        if not any(self.unmatched.values()):
            return self
        pods = tuple(
            replace(
                pod,
                metrics={k: v for k, v in pod.metrics.items() if k not in self.unmatched.get(pod.arm, {})},
            )
            for pod in self.poll.pods
        )
        lacking = {arm: {**self.lacking.get(arm, {}), **self.unmatched.get(arm, {})} for arm in Arm}
        return replace(self, poll=replace(self.poll, pods=pods), lacking=lacking, unmatched={})


class PodSource:
    """Reads pods that the watch shows."""

    def __init__(
        self,
        scraper: Scraper,
        watched: Callable[[Key], Sequence[Pod]],
        count: Callable[[str], None] = lambda _result: None,
    ) -> None:
        """`watched` gives all pods of a model as they are now; `count` is called with how each reading went."""
        self._scraper = scraper
        self._watched = watched
        self._count = count

    def serving(self, key: Key, *revisions: str) -> list[Pod]:
        """The pods of these revisions whose servers run, and that may be read."""
        return [
            pod
            for pod in self._watched(key)
            if pod.revision in revisions and pod.ip and pod.started and not pod.failed
        ]

    async def poll(
        self,
        key: Key,
        sides: Mapping[Arm, Side],
        now: float,
        *,
        weight_percent: float = 0,
        most: int = MOST_PODS,
    ) -> Polled:
        """The metrics of a model's pods at `now`, Unix seconds; of each arm at most so many pods."""
        pods = self.serving(key, *(side.revision for side in sides.values()))
        chosen = [(arm, pod) for arm, side in sides.items() for pod in _chosen(pods, side.revision, most)]
        results = await asyncio.gather(*(self._result(pod, arm, sides[arm]) for arm, pod in chosen))
        for arm, side in sides.items():
            _match_labels([each for each in results if each.arm is arm], side.wanted)
        poll = Poll(
            time=now,
            weight_percent=weight_percent,
            pods=tuple(each.reading for each in results if each.reading),
            unread=tuple((each.pod, each.arm) for each in results if each.expected and not each.reading),
        )
        return Polled(
            poll=poll,
            unread={each.pod: each.failure for each in results if each.failure and each.expected},
            lacking={arm: _lacking([each for each in results if each.arm is arm]) for arm in sides},
            unmatched={arm: _unmatched([each for each in results if each.arm is arm]) for arm in sides},
        )

    async def _result(self, pod: Pod, arm: Arm, side: Side) -> "_Result":
        """The metrics of one pod, or why they cannot be had."""
        expected = pod.ready and not pod.deleting
        result = _Result(pod=pod.name, arm=arm, expected=expected)
        if side.endpoint is None:
            return result
        page = Page(address=pod.ip, port=side.endpoint.port, path=side.endpoint.path)
        try:
            found = _read(await self._scraper.read(page), side.wanted)
        except MetricsUnknown as unknown:
            result.failure = unknown.problem
            self._count(unknown.problem.reason)
            return result
        self._count("OK")
        result.problems = {name: unknown.problem for name, unknown in found.problems.items()}
        result.unmatched = {name: unknown.problem for name, unknown in found.unmatched.items()}
        result.labels, result.unlabelled = found.labels, found.unlabelled
        result.reading = PodReading(
            pod=pod.name,
            arm=arm,
            metrics=found.metrics,
            node=pod.node,
            started=_seconds(pod.started),
            process_started=found.process_started,
            ready_since=_seconds(pod.ready_since) if expected else None,
        )
        return result


@dataclass(slots=True, kw_only=True)
class _Result:
    pod: str
    arm: Arm
    expected: bool
    """It is Ready and stays: that it cannot be read is a problem."""
    reading: PodReading | None = None
    failure: MetricsProblem | None = None
    problems: Mapping[str, MetricsProblem] = field(default_factory=dict)
    unmatched: Mapping[str, MetricsProblem] = field(default_factory=dict)
    labels: Mapping[str, Seen] = field(default_factory=dict)
    unlabelled: Mapping[str, Reading] = field(default_factory=dict)

    def leave_out(self, name: str, problem: MetricsProblem) -> None:
        """Take a metric for one that the pod does not show; what is wrong with it anyway is said first."""
        self.problems = {name: problem, **self.problems}
        if self.reading:
            kept = {other: found for other, found in self.reading.metrics.items() if other != name}
            self.reading = replace(self.reading, metrics=kept)

    def take_in(self, name: str) -> None:
        """Take a metric for what it is if only the label was not there yet."""
        if self.reading and name in self.unlabelled:
            self.reading = replace(
                self.reading, metrics={**self.reading.metrics, name: self.unlabelled[name]}
            )


def _read(body: Body, wanted: Collection[SampleTarget]) -> Readings:
    """The readings of a page, of whatever type it is said to be. Raises MetricsUnknown."""
    try:
        return readings(body.text, wanted)
    except MetricsUnknown as unknown:
        if not body.content_type or body.content_type in METRICS_TYPES:
            raise
        raise MetricsUnknown(
            Unknown.NOT_METRICS, f"the page is {body.content_type} and no text of metrics; is the path right?"
        ) from unknown


def _match_labels(results: Collection[_Result], wanted: Iterable[SampleTarget]) -> None:
    """Take a label for one that the server has if any pod of the arm shows it, and for none if no pod does.

    One pod alone does not show it: a label may be on failures only, and an arm of which the pods without a failure were
    left out would be one of failures.
    """
    for each in wanted:
        if not isinstance(each, RatioTarget):
            continue
        seen = together(result.labels.get(each.name, {}) for result in results)
        unknown = without_labels(seen, each)
        for result in results:
            if unknown:
                result.leave_out(each.name, unknown.problem)
            else:
                result.take_in(each.name)


def _seconds(time: datetime | None) -> float | None:
    return time.timestamp() if time else None


def _chosen(pods: Iterable[Pod], revision: str, most: int) -> list[Pod]:
    """Pods' names end in random letters, so the order from their ends is a draw that stays."""
    own = [pod for pod in pods if pod.revision == revision]
    return sorted(own, key=lambda pod: pod.name[::-1])[:most]


def _unmatched(results: Iterable[_Result]) -> dict[str, MetricsProblem]:
    """Metrics of which no pod that shows them has a series that is meant."""
    read = [each for each in results if each.reading]
    meant = {
        name for each in read if each.reading for name in each.reading.metrics if name not in each.unmatched
    }
    problems = {name: problem for each in reversed(read) for name, problem in each.unmatched.items()}
    return {name: problem for name, problem in problems.items() if name not in meant}


def _lacking(results: Iterable[_Result]) -> dict[str, MetricsProblem]:
    """Metrics that no pod shows, of those that could be read."""
    read = [each for each in results if each.reading]
    shown = {name for each in read if each.reading for name in each.reading.metrics}
    problems = {name: problem for each in reversed(read) for name, problem in each.problems.items()}
    return {name: problem for name, problem in problems.items() if name not in shown}
