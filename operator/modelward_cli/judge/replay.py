"""One rollout of a recorded stream: from polls to verdicts, with the steps that the input or the engine takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isfinite, isnan, sqrt
from typing import Final

from modelward.analysis.counters import Counters, Sample, from_zero
from modelward.analysis.idle import Idle
from modelward.analysis.judge import (
    Assessment,
    State,
    Step,
    Verdict,
    assess,
    begin,
    informed,
    lasted,
    next_step,
    observe,
    with_idle,
)
from modelward.analysis.noise import INDEPENDENT, Noise, Reference
from modelward.analysis.policy import Policy
from modelward.analysis.readings import Arm, HistogramReading, Poll, RatioReading, Reading
from modelward.analysis.sampled_evidence import Unknown
from modelward.analysis.tracks import flawed
from modelward.api.rollout_policy import OnInconclusive
from modelward_cli.judge.protocol import GivenPolicy, Header

_CONTINUED_GAPS: Final = 2.5
"""A reference that ends so many intervals before the first poll goes on into it."""
_TOGETHER: Final = 6.0
"""Standard deviations within which the arms' totals stand in the proportion of the weight."""


class Word(StrEnum):
    """What is said about a rollout."""

    ROLL_BACK = "RollBack"
    ADVANCE = "Advance"
    PROMOTE = "Promote"
    INCONCLUSIVE = "Inconclusive"
    CONTINUE = "Continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A verdict on a rollout at one time."""

    word: Word
    time: float
    odds: float
    metric: str
    message: str

    @property
    def ends(self) -> bool:
        """Whether nothing follows it."""
        return self.word in {Word.ROLL_BACK, Word.PROMOTE}


class Replay:
    """One rollout. It is fed polls in the order of time and answers with what is to be said."""

    def __init__(self, header: Header, *, walk: bool = False, every: bool = False) -> None:
        """With `walk` it takes its own steps, else the weight is the input's; with `every` each poll is answered."""
        self._given: GivenPolicy = header.policy
        self._past = None if header.reference is None else [self._aliased(poll) for poll in header.reference]
        self._walk = walk
        self._every = every
        self._interval = header.policy.interval_seconds
        self._held: Poll | None = None
        self._shown: dict[str, Reading] = {}
        self._policy = Policy()
        self._reference: Reference = INDEPENDENT
        self._noise: Noise | None = None
        """Of stable's pods; None: requests are taken to be independent."""
        self._counters: Counters | None = None
        self._state = State(metrics=())
        self._weight = header.policy.steps[0] if header.policy.steps else 100.0
        """Of the last poll."""
        self._step = Step(time=0, started=0, weight_percent=self._weight, next_weight_percent=None)
        self._stopped = False
        self._idle = Idle()
        self._says_ready = False
        self.time: float | None = None
        """Of the last poll; None before the first."""
        self.samples: list[Sample] = []
        """What the last poll completed, for callers that show how the judge came to its verdict."""

    def take(self, poll: Poll) -> Iterator[Said]:
        """What there is to say after `poll`, which is later than the last."""
        self.time = poll.time
        self.samples = []
        poll = self._aliased(poll)
        if self._counters is None and self._interval is None and self._held is None:
            self._held = poll  # how long an interval is shows with the second poll
            return
        if self._held:
            first, self._held = self._held, None
            self._interval = poll.time - first.time
            yield from self._taken(first)
        yield from self._taken(poll)

    @property
    def is_answered(self) -> bool:
        """Whether each poll has been answered, as `every` asks for: a single one waits for the next."""
        return self._every and self._held is None

    @property
    def policy(self) -> Policy:
        """By what is judged, as far as the polls have shown it."""
        return self._policy

    @property
    def began(self) -> float | None:
        """Since when the canary has had traffic; None: not yet."""
        return self._state.began

    @property
    def phis(self) -> dict[str, float]:
        """The noise by which evidence is divided, by metric: the largest of its tests."""
        return {metric.name: max(metric.phis) for metric in self._state.metrics if metric.phis}

    def last(self) -> Said | None:
        """The last state; None when there was no poll."""
        if self._held:
            first, self._held = self._held, None
            for _ in self._taken(first):
                pass
        if self.time is None:
            return None
        return _said(self._assessed(), self._step)

    def _aliased(self, poll: Poll) -> Poll:
        """The poll with the readings that stand in for others: a guard on the signal errors reads errors."""
        aliases = self._given.aliases
        if not aliases:
            return poll
        pods = (replace(pod, metrics=with_aliases(pod.metrics, aliases)) for pod in poll.pods)
        return replace(poll, pods=tuple(pods))

    def _taken(self, poll: Poll) -> Iterator[Said]:
        if isnan(poll.weight_percent):
            poll = replace(poll, weight_percent=self._weight)
        poll = self._with_readiness(poll)
        self._poll(poll)
        if self._counters is None:
            self._counters = self._begun(poll)
            self._past = None  # an hour of polls; what it shows is in the reference
        self._idle = self._idle.plus(poll)
        self._state = with_idle(self._policy, self._state, self._idle)
        self._move(poll)
        if self._noise:
            self._noise = self._noise.plus(poll)
            self._state = informed(self._state, self._noise.reference(lasted(self._state, poll.time)))
        self._counters, sample = self._counters.advance(poll)
        if sample:
            self.samples.append(sample)
            self._state = observe(self._policy, self._state, sample)
        if self._counters.flaws:  # the step begins anew
            self._step = replace(self._step, started=poll.time)
        if self._walk:
            yield from self._walked()
        elif self._every or self._state.decided:
            yield _said(self._assessed(), self._step)

    def _with_readiness(self, poll: Poll) -> Poll:
        """The poll; in a stream that does not say when pods became Ready, they always are."""
        self._says_ready |= any(pod.ready_since is not None for pod in poll.pods)
        if self._says_ready:
            return poll
        return replace(poll, pods=tuple(replace(pod, ready_since=-inf) for pod in poll.pods))

    def _poll(self, poll: Poll) -> None:
        """Which metrics there are. As long as no canary traffic has flowed, more may show."""
        if self._state.frozen:
            return
        polls = [*(self._past or ()), poll] if self._counters is None else [poll]
        new = {
            name: reading
            for polled in polls
            for pod in polled.pods
            for name, reading in pod.metrics.items()
            if name not in self._shown
        }
        if new or self._counters is None:
            self._shown |= new
            self._policy = self._given.policy(self._shown, self._interval)
            if self._counters is None:
                self._noise = _noise(self._policy, self._past)
                self._reference = self._noise.reference() if self._noise else _independent(self._policy, poll)
            else:
                self._counters = replace(self._counters, latency=self._histograms())
                if self._noise:
                    self._noise = replace(self._noise, metrics=self._policy.metrics)
            self._state = begin(self._policy, self._reference)

    def _begun(self, poll: Poll) -> Counters:
        """The counters before the first poll; and when the first step began."""
        before = self._past[-1] if self._past else None
        interval = self._policy.interval_seconds
        started = poll.time
        counters = Counters(latency=self._histograms())
        if before and 0 < poll.time - before.time <= _CONTINUED_GAPS * interval:
            counters, _ = counters.advance(replace(before, weight_percent=poll.weight_percent))
            started = before.time
        elif began_together(poll):
            counters = from_zero(self._histograms())
            started = poll.time - interval
        weight = self._step.weight_percent if self._walk else poll.weight_percent
        self._weight = poll.weight_percent
        self._step = self._at(weight, started)
        return counters

    def _histograms(self) -> frozenset[str]:
        """What pods that are not warm yet are left out of, where the stream says since when they are Ready."""
        return frozenset(
            name for name, reading in self._shown.items() if isinstance(reading, HistogramReading)
        )

    def _at(self, weight: float, started: float) -> Step:
        next_weight = self._given.next_weight(weight)
        return Step(time=started, started=started, weight_percent=weight, next_weight_percent=next_weight)

    def _move(self, poll: Poll) -> None:
        """The step of the input: it begins where the weight changes."""
        if not self._walk and poll.weight_percent != self._weight:
            self._state = next_step(self._state)
            self._step = self._at(poll.weight_percent, self._step.time)
        self._weight = poll.weight_percent
        self._step = replace(self._step, time=poll.time)

    def _assessed(self) -> Assessment:
        """The assessment; of a metric that cannot be judged it says why."""
        made = assess(self._policy, self._state, self._step)
        flaws = self._counters.flaws if self._counters else {}
        if not flaws or made.verdict is Verdict.ROLL_BACK:
            return made
        return replace(
            made, verdict=Verdict.HOLD, message=f"Holding: {Unknown.METRIC_INVALID}: {flawed(flaws)}."
        )

    def _walked(self) -> Iterator[Said]:
        """The verdicts when the engine takes its own steps."""
        step = self._step
        assessment = self._assessed()
        said = _said(assessment, step)
        inconclusive = assessment.verdict is Verdict.INCONCLUSIVE
        if assessment.verdict is Verdict.ADVANCE and not self._stopped:
            yield said
            self._advance()
        elif inconclusive and not self._stopped:
            yield said
            yield from self._undecided(assessment, said)
        elif self._every or assessment.verdict is Verdict.ROLL_BACK:
            yield replace(said, word=Word.CONTINUE) if self._stopped and not said.ends else said

    def _undecided(self, assessment: Assessment, said: Said) -> Iterator[Said]:
        """What follows a step without an answer: go on if it may be, else what the user wishes."""
        wish = self._given.on_inconclusive
        if assessment.may_advance:
            yield replace(said, word=Word.ADVANCE)
            self._advance()
        elif wish is OnInconclusive.PROMOTE:
            yield replace(said, word=Word.PROMOTE, message=f"onInconclusive: Promote. {said.message}")
            self._stopped = True
        elif wish is OnInconclusive.ROLL_BACK:
            yield replace(said, word=Word.ROLL_BACK, message=f"onInconclusive: RollBack. {said.message}")
            self._stopped = True
        else:
            self._stopped = True

    def _advance(self) -> None:
        self._state = next_step(self._state)
        self._step = self._at(self._step.next_weight_percent or 100.0, self._step.time)


def _said(assessment: Assessment, step: Step) -> Said:
    word = {
        Verdict.ROLL_BACK: Word.ROLL_BACK,
        Verdict.ADVANCE: Word.PROMOTE if step.next_weight_percent == 100 else Word.ADVANCE,
        Verdict.INCONCLUSIVE: Word.INCONCLUSIVE,
    }.get(assessment.verdict, Word.CONTINUE)
    return Said(
        word=word,
        time=step.time if assessment.time is None else assessment.time,
        odds=assessment.odds,
        metric=assessment.metric,
        message=assessment.message,
    )


def with_aliases(metrics: Mapping[str, Reading], aliases: Mapping[str, str]) -> dict[str, Reading]:
    """The readings, and under the name of a metric that is not shown that of its signal."""
    added = {
        name: metrics[signal] for name, signal in aliases.items() if signal in metrics and name not in metrics
    }
    return {**metrics, **added}


def _noise(policy: Policy, past: list[Poll] | None) -> Noise | None:
    """What the past shows of stable's pods; None where the stream has no past."""
    if past is None:
        return None
    noise = Noise(metrics=policy.metrics)
    for poll in past:
        noise = noise.plus(poll)
    return noise


def _independent(policy: Policy, first: Poll) -> Reference:
    """What stable's pods have counted before the first poll, if they have counted longer than the canary's.

    Where the stream says nothing of the past, requests are taken to be independent: that is what the guarantee is
    proven for, and a discount for noise that nobody has seen would be a guess.
    """
    if began_together(first):
        return INDEPENDENT
    counted = Noise(metrics=policy.metrics).plus(first).reference().metrics
    assumed = {name: replace(known, phi=1.0) for name, known in counted.items()}
    return Reference(metrics=assumed, phi_without_history=INDEPENDENT.phi_without_history)


def began_together(poll: Poll) -> bool:
    """Whether both arms have counted since the same moment, so that a first poll is an interval from zero.

    Their cases then stand in the proportion of the weight. Pods of stable that are older show far more.
    """
    weight = poll.weight_percent / 100
    if isnan(weight) or not 0 < weight < 1:
        return False
    totals = _totals(poll)
    return any(
        canary > 0 and stable > 0 and _in_proportion(canary, stable, weight)
        for canary, stable in totals.values()
    )


def _in_proportion(canary: float, stable: float, weight: float) -> bool:
    cases = canary + stable
    return abs(canary - weight * cases) <= _TOGETHER * sqrt(cases * weight * (1 - weight)) + 1


def _totals(poll: Poll) -> dict[str, list[float]]:
    """The cases of canary and stable, by metric."""
    totals: dict[str, list[float]] = {}
    for pod in poll.pods:
        for name, reading in pod.metrics.items():
            totals.setdefault(name, [0.0, 0.0])[pod.arm is Arm.STABLE] += _cases(reading)
    return totals


def _cases(reading: Reading) -> float:
    match reading:
        case RatioReading(total=total):
            return total if isfinite(total) else 0.0
        case HistogramReading(buckets=buckets):
            count = buckets.get(inf, 0.0)
            return count if isfinite(count) else 0.0
    return 0.0
