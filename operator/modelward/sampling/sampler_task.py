"""A rollout that is being followed: from polls to samples, kept until they are recorded.

All the arithmetic of time is here, none of the waiting: `due` says when the next poll is, and the poll is
handed in.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from modelward.analysis.counters import Counters, Sample
from modelward.analysis.idle import Idle
from modelward.analysis.noise import Noise, Reference
from modelward.analysis.readings import Arm, Poll
from modelward.analysis.sampled_evidence import Evidence, MetricsProblem, MetricsUnknown, Unknown
from modelward.analysis.tracks import flawed
from modelward.api.model import Model
from modelward.api.objects import Key
from modelward.api.revision import Revision
from modelward.api.times import parse
from modelward.sampling.freshness import Freshness
from modelward.sampling.pods import Polled
from modelward.sampling.scrapes import Newest
from modelward.sampling.subject import Subject, is_idle, subject_of

MOST_SAMPLES: Final = 1000
"""Kept while nothing can be recorded, because the API server is away; then the oldest go."""

POLLS_TO_BE_MEANT: Final = 2
"""Polls with traffic for the canary, from which on a total that no series is meant by is unknown."""


class Follower(ABC):
    """Who follows rollouts: the Sampler, and whoever plays it. What is wanted of each is worked out here, once."""

    __slots__ = ()

    def follow(
        self,
        model: Model,
        revisions: Mapping[str, Revision],
        *,
        canary: str,
        stable: str,
        weight_percent: float,
    ) -> Evidence:
        """Follow the rollout from `stable` to `canary`, and give what has come in since status was recorded.

        A rollout that is over needs a `forget`.
        """
        key = model.namespace, model.name
        analysis = model.status.analysis
        since = (
            parse(analysis.last_sample_time).timestamp() if analysis and analysis.last_sample_time else None
        )
        try:
            subject = subject_of(
                model, revisions, canary=canary, stable=stable, weight_percent=weight_percent
            )
        except MetricsUnknown as unknown:
            self.forget(key)
            return Evidence() if is_idle(model) else Evidence(problem=unknown.problem)
        self.track(subject, since)
        return self.evidence(key, since)

    @abstractmethod
    def track(self, subject: Subject, since: float | None = None) -> None:
        """Follow a rollout, or go on with what is wanted of it now. `since`: time of the last recorded sample."""

    @abstractmethod
    def evidence(self, key: Key, since: float | None = None) -> Evidence:
        """What came after `since`, the time of the last recorded sample: call it for what is tracked only."""

    @abstractmethod
    def forget(self, key: Key) -> None:
        """Stop following; what was not recorded is lost."""

    def learnt(self, key: Key, revision: str) -> str:  # noqa: ARG002 - not everybody reads at rest
        """The noise of a revision's pods as text, once it is known well enough to be kept; empty before that."""
        return ""


@dataclass(slots=True, kw_only=True)
class SamplerTask:
    """The memory of one rollout. Lost with the process: samples that were not recorded are then lost, too."""

    subject: Subject
    noise: Noise
    """Of stable's pods, up to now."""
    counters: Counters
    reference: Reference | None = None
    """What was known of stable before the canary got requests; None: it has none yet."""
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=MOST_SAMPLES))
    problem: MetricsProblem | None = None
    freshness: Freshness = field(default_factory=Freshness)
    last: float | None = None
    """Time of the last poll."""
    polled: bool = False
    """Whether this process has polled; until then `last` is what status had recorded."""
    idle: Idle = field(default_factory=Idle)
    """What the canary shows of requests without users."""
    newest: Newest = field(default_factory=Newest)
    """Of a metric source: the newest scrapes that were seen."""
    ahead: float = 0.0
    """By how much the recorded time is ahead of the clock, which was set back: times must rise all the same."""
    misses: int = 0
    """Polls in a row that failed as a whole."""
    weighted: int = 0
    """Polls in a row at which the canary was meant to get requests."""

    def time_of(self, clock: float) -> float:
        """The time of a poll, to the millisecond: status keeps it exactly, so no sample counts twice."""
        return round(clock + self.ahead, 3)

    def take(self, polled: Polled) -> bool:
        """Take a poll in. Whether there is something new: a sample, or another problem than before."""
        self.misses = 0
        self.last, self.polled = polled.poll.time, True
        idle, self.idle = self.idle, self.idle.plus(polled.poll)
        if self.subject.idle:
            return self.idle.differs_from(idle)
        before = self.problem
        self.weighted = self.weighted + 1 if polled.poll.weight_percent > 0 else 0
        meant_nowhere = None
        if self.weighted >= POLLS_TO_BE_MEANT:
            meant_nowhere = _meant_nowhere(polled)
            polled = polled.without_unmatched()
        problem = self.freshness.take(polled)
        poll = polled.poll
        if given_up := self.freshness.given_up(polled):
            poll = replace(poll, unread=tuple(each for each in poll.unread if each[0] not in given_up))
        if poll.weight_percent and self.reference is None and self.noise.time is not None:
            # Before the canary gets requests all is history; the first poll shows what was since the pods' start.
            self.reference = self.noise.reference()
        self.noise = self.noise.plus(poll)
        self.counters, sample = self.counters.advance(poll)
        if sample:
            self.samples.append(sample)
        self.problem = self._flaw() or meant_nowhere or problem
        return sample is not None or self.problem != before

    def _flaw(self) -> MetricsProblem | None:
        """That a metric cannot be judged by, because of what its counters do."""
        flaws = self.counters.flaws
        return MetricsProblem(reason=Unknown.METRIC_INVALID, message=flawed(flaws)) if flaws else None

    def miss(self, problem: MetricsProblem, most: int) -> bool:
        """A poll that failed as a whole. Whether there is something new: it was one too many."""
        if self.subject.idle:
            return False
        self.misses += 1
        before = self.problem
        if self.misses >= most:
            self.problem = problem
        return self.problem != before

    def evidence(self, since: float | None) -> Evidence:
        """What came after `since`; what is as old as that is recorded, and forgotten."""
        while self.samples and since is not None and self.samples[0].time <= since:
            self.samples.popleft()
        if self.subject.idle:
            return Evidence(idle=self.idle)
        return Evidence(
            samples=tuple(self.samples),
            problem=self.problem,
            reference=self.reference or self.noise.reference(),
            noise=self.noise,
            idle=self.idle,
        )

    def learn(self, polls: Iterable[Poll]) -> None:
        """Take stable's history in."""
        for poll in polls:
            self.noise = self.noise.plus(poll)


def _meant_nowhere(polled: Polled) -> MetricsProblem | None:
    """That a total means none of the series that both revisions have: the selector is wrong."""
    unmatched = [polled.unmatched.get(arm, {}) for arm in Arm]
    names = sorted(unmatched[0].keys() & unmatched[1].keys())
    return unmatched[0][names[0]] if names else None
