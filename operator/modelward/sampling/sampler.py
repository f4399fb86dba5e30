"""The Sampler: samples rollouts in the background, so that a reconcile only reads what has come in.

Every rollout has a task of its own: one that hangs delays no other, and one that ends is begun again by the
supervisor, with what it has read. That is kept in memory until it is recorded in status; only the leader reads.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from modelward.analysis.counters import Counters
from modelward.analysis.idle import Idle
from modelward.analysis.noise import Noise
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import Evidence, MetricsProblem, MetricsUnknown, Unknown
from modelward.api.analysis_policy import PODS
from modelward.api.objects import Key
from modelward.sampling.freshness import MOST_MISSES
from modelward.sampling.pods import PodSource
from modelward.sampling.prometheus import HISTORY_SECONDS, MOST_TIMES, PrometheusSource, boundary
from modelward.sampling.sampler_task import Follower, SamplerTask
from modelward.sampling.subject import Side, Subject
from modelward.sampling.supervisor import Supervisor, Work

_BUG: Final = MetricsProblem(
    reason=Unknown.NOT_METRICS,
    message="reading failed in a way that was not foreseen; the operator's log has more",
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSource:
    """A server that remembers."""

    source: PrometheusSource
    delay_seconds: float


@dataclass(slots=True, kw_only=True)
class Sampler(Follower):
    """`clock` gives Unix seconds that never go back; `wake` requeues a model."""

    pods: PodSource
    sources: Mapping[str, NamedSource]
    clock: Callable[[], float]
    wake: Callable[[Key], None]
    noise: Callable[[Key, str, tuple[MetricPolicy, ...]], Noise]
    """What is known of a revision from the time at rest."""
    ripe: Callable[[Key, str], str] = lambda _key, _revision: ""
    """The same as text, once it is known well."""
    supervisor: Supervisor = field(default_factory=Supervisor)
    _followed: dict[Key, SamplerTask] = field(default_factory=dict)

    def track(self, subject: Subject, since: float | None = None) -> None:
        """Follow a rollout, or go on with what is wanted of it now. `since`: time of the last recorded sample."""
        task = self._followed.get(subject.key)
        if task is None or task.subject.rollout != subject.rollout:
            self.forget(subject.key)
            idle = task.idle if task and subject.begins(task.subject) else Idle()
            task = self._followed[subject.key] = self._begun(subject, since, idle)
        elif task.subject.interval_seconds == subject.interval_seconds:
            task.subject = subject
            return
        task.subject = subject
        if work := self._work(task):
            self.supervisor.begin(subject.key, work, pace=subject.interval_seconds)

    def _begun(self, subject: Subject, since: float | None, idle: Idle) -> SamplerTask:
        task = SamplerTask(
            subject=subject,
            idle=idle,
            noise=self.noise(subject.key, subject.stable.revision, subject.metrics),
            counters=Counters(latency=subject.latencies()),
        )
        if since is not None and subject.source == PODS:
            task.ahead = max(0.0, since - self.clock())
        elif since is not None and 0 <= self.clock() - since <= HISTORY_SECONDS:
            task.last = since
        return task

    def forget(self, key: Key) -> None:
        """Stop following; what was not recorded is lost."""
        self._followed.pop(key, None)
        self.supervisor.end(key)

    def evidence(self, key: Key, since: float | None = None) -> Evidence:
        """What came after `since`, the time of the last recorded sample: call it for what is tracked only."""
        task = self._followed.get(key)
        return task.evidence(since) if task else Evidence()

    def learnt(self, key: Key, revision: str) -> str:
        """The noise of a revision's pods as text, once it is known well enough to be kept; empty before that."""
        return self.ripe(key, revision)

    def followed(self) -> frozenset[Key]:
        """The rollouts that are being followed."""
        return frozenset(self._followed)

    async def stop(self) -> None:
        """End all tasks."""
        self._followed.clear()
        await self.supervisor.stop()

    def _work(self, task: SamplerTask) -> Work | None:
        """What is done for a rollout, for ever; None if nothing can be: its problem says why."""
        name = task.subject.source
        if name == PODS:
            return partial(self._follow_pods, task)
        if source := self.sources.get(name):
            return partial(self._follow_source, task, source)
        task.problem = MetricsProblem(
            reason=Unknown.SOURCE_UNKNOWN,
            message=f"the operator's configuration has no metric source {name!r}",
        )
        return None

    async def _follow_pods(self, task: SamplerTask) -> None:
        due = self.clock()
        while True:
            await asyncio.sleep(max(0.0, due - self.clock()))
            due = max(due, self.clock() - task.subject.interval_seconds)
            due += task.subject.interval_seconds
            await self._guarded(task, self._poll_pods(task))

    async def _poll_pods(self, task: SamplerTask) -> bool:
        subject = task.subject
        now = task.time_of(self.clock())
        polled = await self.pods.poll(
            subject.key, _sides(subject), now, weight_percent=subject.weight_percent
        )
        return task.take(polled)

    async def _follow_source(self, task: SamplerTask, source: NamedSource) -> None:
        await self._guarded(task, self._learn(task, source))
        while True:
            interval = task.subject.interval_seconds
            now = self.clock() - source.delay_seconds
            due = boundary(task.last, interval) + interval if task.last is not None else now
            await asyncio.sleep(max(due - now, interval if task.misses else 0.0))
            await self._guarded(task, self._poll_source(task, source))

    async def _learn(self, task: SamplerTask, source: NamedSource) -> bool:
        """Take in what the server remembers of stable; all the rest of the rollout goes by without it if it fails."""
        subject = task.subject
        end = boundary(self.clock() - source.delay_seconds, subject.interval_seconds)
        if not subject.idle:
            task.learn(
                await source.source.history(
                    subject.key, subject.stable, end, subject.interval_seconds, task.newest
                )
            )
        return False

    async def _poll_source(self, task: SamplerTask, source: NamedSource) -> bool:
        """Take in all that is due: one poll as a rule, several after a pause, with the last poll as the start."""
        subject = task.subject
        interval = subject.interval_seconds
        end = boundary(self.clock() - source.delay_seconds, interval)
        times = _times(task, end)
        if not times:
            return False
        is_news = False
        for polled in await source.source.polls(
            subject.key,
            _sides(subject),
            times,
            interval=interval,
            weight_percent=subject.weight_percent,
            pods=self.pods.serving(subject.key, subject.canary.revision, subject.stable.revision),
            newest=task.newest,
        ):
            is_news = task.take(polled) or is_news
        return is_news

    async def _guarded(self, task: SamplerTask, poll: Awaitable[bool]) -> None:
        """Take a poll, and requeue the model if there is something new."""
        key = task.subject.key
        try:
            is_news = await poll
        except MetricsUnknown as unknown:
            is_news = task.miss(unknown.problem, MOST_MISSES)
        except Exception:
            logger.exception("%s/%s: unexpected error, please report it", *key)
            is_news = task.miss(_BUG, MOST_MISSES)
        if self._followed.get(key) is not task:
            return
        self.supervisor.alive(key)
        if is_news:
            self.wake(key)


def _sides(subject: Subject) -> dict[Arm, Side]:
    return {arm: subject.side(arm) for arm in Arm}


def _times(task: SamplerTask, end: float) -> tuple[float, ...]:
    """The boundaries after the last poll, up to `end`; the recorded time itself is where counting goes on."""
    interval, last = task.subject.interval_seconds, task.last
    if last is None:
        return (end,)
    first = boundary(last, interval)
    if task.polled or first < last:  # a recorded time that is no boundary: what is in between is lost
        first += interval
    count = int((end - first) / interval + 1e-9) + 1
    return tuple(first + interval * number for number in range(max(0, min(count, MOST_TIMES))))
