"""What reads the pods' metrics in a rehearsal, in place of `modelward.sampling.sampler`.

The memory and the arithmetic of what has come in are the operator's own; the polls go by the virtual clock, and the
counters come from `traffic`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from modelward.analysis.counters import Counters
from modelward.analysis.idle import Idle
from modelward.analysis.noise import Noise
from modelward.analysis.readings import (
    Arm,
    GaugeReading,
    HistogramReading,
    PodReading,
    Poll,
    RatioReading,
    Reading,
)
from modelward.analysis.sampled_evidence import Evidence, MetricsProblem, Unknown
from modelward.api.analysis_policy import MetricKind
from modelward.api.names import MODEL_LABEL, REVISION_LABEL, model_label
from modelward.api.objects import Key, Manifest
from modelward.api.times import parse
from modelward.sampling.pods import Polled
from modelward.sampling.sampler_task import Follower, SamplerTask
from modelward.sampling.subject import Side, Subject
from modelward.sampling.targets import GaugeTarget, HistogramTarget
from modelward.simulator.api_server import ApiServer
from modelward.simulator.nodes import Life, Nodes
from modelward.simulator.traffic import BOUNDS, Counted, Traffic, floored
from modelward.simulator.world import World

HISTORY_SECONDS: Final = 600
"""What is known of stable from the time at rest, as the operator would have read it by then."""
_HISTORY_INTERVAL: Final = 15
_REFUSED: Final = MetricsProblem(reason=Unknown.REFUSED, message="nobody listens at its metrics port")


@dataclass(slots=True, kw_only=True)
class Meter(Follower):
    """Follows rollouts. Its memory is the operator's, and ends with it."""

    server: ApiServer
    world: World
    nodes: Nodes
    traffic: Traffic
    start: datetime
    second: Callable[[], float]
    _followed: dict[Key, SamplerTask] = field(default_factory=dict)
    _due: dict[Key, float] = field(default_factory=dict)

    def track(self, subject: Subject, since: float | None = None) -> None:  # noqa: ARG002 - nothing is lost here
        """Follow a rollout, or go on with what is wanted of it now."""
        task = self._followed.get(subject.key)
        if task and task.subject.rollout == subject.rollout:
            task.subject = subject
            return
        self._followed[subject.key] = SamplerTask(
            subject=subject,
            idle=task.idle if task and subject.begins(task.subject) else Idle(),
            noise=self._history(subject),
            counters=Counters(latency=subject.latencies()),
        )
        self._due[subject.key] = self.second()

    def evidence(self, key: Key, since: float | None = None) -> Evidence:
        """What came after `since`."""
        return self._followed[key].evidence(since)

    def forget(self, key: Key) -> None:
        """Stop following a model."""
        self._followed.pop(key, None)
        self._due.pop(key, None)

    def act(self) -> Iterator[Key]:
        """Poll all pods that are due; yields the models that have something new."""
        for key, due in list(self._due.items()):
            if due <= self.second():
                task = self._followed[key]
                self._due[key] = self.second() + task.subject.interval_seconds
                if task.take(self._polled(task)):
                    yield key

    def next_second(self) -> float | None:
        """When the next poll is due."""
        return min(self._due.values(), default=None)

    # --- one poll -------------------------------------------------------------------------------------------

    def _polled(self, task: SamplerTask) -> Polled:
        subject = task.subject
        read: list[PodReading] = []
        unread: dict[str, tuple[Arm, MetricsProblem]] = {}
        for arm in Arm:
            for pod, life in self._pods(subject, arm):
                if self.world.version(pod).shows_metrics:
                    read.append(self._reading(pod, life, arm, subject))
                elif life.ready:
                    unread[pod["metadata"]["name"]] = arm, _REFUSED
        poll = Poll(
            time=task.time_of(self._unix(self.second())),
            weight_percent=subject.weight_percent,
            pods=tuple(read),
            unread=tuple((name, arm) for name, (arm, _) in unread.items()),
        )
        return Polled(poll=poll, unread={name: problem for name, (_, problem) in unread.items()})

    def _pods(self, subject: Subject, arm: Arm) -> Iterator[tuple[Manifest, Life]]:
        """The pods of a revision whose servers run."""
        labels = {MODEL_LABEL: model_label(subject.name), REVISION_LABEL: subject.side(arm).revision}
        for pod in self.server.find("Pod", **labels):
            life = self.nodes.lives.get(pod["metadata"]["uid"])
            if life and life.started is not None:
                yield pod, life

    def _reading(self, pod: Manifest, life: Life, arm: Arm, subject: Subject) -> PodReading:
        side = subject.side(arm)
        counted = self.traffic.counted.get(pod["metadata"]["uid"])
        if counted is None or counted.started != life.started:
            counted = Counted(life.started or 0.0)
        return PodReading(
            pod=pod["metadata"]["name"],
            arm=arm,
            metrics=_of_worker(
                self.world.version(pod).workers,
                int(self.second() / subject.interval_seconds),
                _metrics(counted, side, subject),
            ),
            started=self._unix(life.started or 0.0),
            ready_since=parse(life.ready_since).timestamp() if life.ready else None,
        )

    def _history(self, subject: Subject) -> Noise:
        """What the baseline has shown of stable: its pods counted evenly since they run."""
        noise = Noise(metrics=subject.metrics)
        pods = [
            (self._reading(pod, life, Arm.STABLE, subject), self.second() - (life.started or 0.0))
            for pod, life in self._pods(subject, Arm.STABLE)
        ]
        for ago in range(HISTORY_SECONDS, 0, -_HISTORY_INTERVAL):
            then = tuple(
                replace(reading, metrics=_scaled(reading.metrics, 1 - ago / age))
                for reading, age in pods
                if age > ago
            )
            if then:
                time = self._unix(self.second() - ago)
                noise = noise.plus(Poll(time=time, weight_percent=0, pods=then))
        return noise

    def _unix(self, second: float) -> float:
        return self.start.timestamp() + second


def _metrics(counted: Counted, side: Side, subject: Subject) -> dict[str, Reading]:
    """Every metric that is wanted.

    Ratios are error shares, histograms are durations, or scores of which each bucket has as many; a gauge stands still.
    """
    total, errors = floored([counted.total, counted.errors])
    scores = [counted.total * number / len(BOUNDS) for number in range(1, len(BOUNDS) + 1)]
    drifting = {metric.name for metric in subject.metrics if metric.kind is MetricKind.DISTRIBUTION}
    found: dict[str, Reading] = {}
    for wanted in side.wanted:
        match wanted:
            case HistogramTarget():
                counts = floored(scores if wanted.name in drifting else counted.buckets)
                found[wanted.name] = HistogramReading(buckets=dict(zip(BOUNDS, counts, strict=True)))
            case GaugeTarget():
                found[wanted.name] = GaugeReading(value=1.0)
            case _:
                found[wanted.name] = RatioReading(hits=errors, total=total)
    return found


def _of_worker(workers: int, polled: int, metrics: dict[str, Reading]) -> dict[str, Reading]:
    """What one of the workers of a pod has counted: the second twice as much as the first, and so on."""
    if workers == 1:
        return metrics
    return _scaled(metrics, 2 * (1 + polled % workers) / (workers * (workers + 1)))


def _scaled(metrics: Mapping[str, Reading], factor: float) -> dict[str, Reading]:
    return {name: _scaled_reading(reading, factor) for name, reading in metrics.items()}


def _scaled_reading(reading: Reading, factor: float) -> Reading:
    match reading:
        case RatioReading(hits=hits, total=total):
            hits, total = floored([hits * factor, total * factor])
            return RatioReading(hits=hits, total=total)
        case HistogramReading(buckets=buckets):
            counts = floored([count * factor for count in buckets.values()])
            return HistogramReading(buckets=dict(zip(buckets, counts, strict=True)))
        case _:
            return reading
