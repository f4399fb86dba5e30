"""The judge's part in a decision: evidence is folded onto what status remembers, and asked for a verdict.

The state in `status.analysis` and the time of its last sample are written together, so no sample counts twice,
and one that was not recorded is taken again. Without any metric only the pods' health is judged.
"""

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import msgspec

from modelward.analysis import judge
from modelward.analysis.idle import NOTHING, Idle, Own, own_requests
from modelward.analysis.noise import NO_HISTORY
from modelward.analysis.policy import Policy, policy_of
from modelward.analysis.verdict import Assessment, Figures, Step, Verdict
from modelward.api.analysis_policy import MetricKind, SignalName
from modelward.api.model import Model
from modelward.api.rollout_policy import WHOLE
from modelward.api.signals import Signals
from modelward.api.status import ANALYSIS_STATE_LENGTH, AnalysisStatus, MetricStatus, clip
from modelward.api.times import format_micro, parse
from modelward.errors import InvalidState
from modelward.rollout import traffic
from modelward.rollout.decision import Progress
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase, phase_of
from modelward.runtimes.metric_endpoints import measured
from modelward.traffic_shares import Router, router

OVERLOAD: Final = 2.0
"""A canary pod that carries more than this many times a stable pod's load may well be slower: its latency does
not count against it."""
LONGEST_GAP_SECONDS: Final = 30.0
"""Longer without a sample, and a step asks for a fresh full window: nobody watched meanwhile."""
_NOTE_LENGTH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the evidence says now."""

    verdict: Verdict = Verdict.CONTINUE
    message: str = ""
    problem: str = ""
    """Why nothing can be said; empty when something can."""
    may_advance: bool = False
    """With INCONCLUSIVE: an intermediate step may begin all the same."""


def judged(observed: Observed, progress: Progress) -> tuple[Progress, Judgement]:
    """The progress with all samples taken in, and what they come to. Without weight there is nothing to judge."""
    judge_by = _judged if progress.rollout.weight_percent else _learned
    try:
        return judge_by(observed, progress)
    except (ArithmeticError, LookupError, ValueError):
        # A hand may have written a memory that is read and cannot be counted on with: it would keep every reconcile
        # from ending, the way back included. Without it the same samples are judged anew.
        if progress.status.analysis is None:
            raise
        return judge_by(observed, progress.having(analysis=None))


def _learned(observed: Observed, progress: Progress) -> tuple[Progress, Judgement]:
    """The progress with what a canary without weight shows of requests without users: whoever leads next knows it."""
    if observed.evidence.idle == Idle():
        return progress, Judgement()
    policy = _policy(observed, progress)
    before, progress = _state(observed, progress, policy)
    state = judge.with_idle(policy, before, observed.evidence.idle)
    if state != before and policy.metrics:
        analysis = progress.status.analysis or AnalysisStatus()
        progress = progress.having(analysis=msgspec.structs.replace(analysis, state=_remembered(state)))
    return progress, Judgement()


def _judged(observed: Observed, progress: Progress) -> tuple[Progress, Judgement]:
    policy = _policy(observed, progress)
    before, progress = _state(observed, progress, policy)
    state = judge.with_idle(policy, before, observed.evidence.idle)
    learned = before.own > 0 and state != before
    if observed.evidence.noise:
        newest = observed.evidence.samples[-1].time if observed.evidence.samples else state.time
        state = judge.informed(state, observed.evidence.noise.reference(judge.lasted(state, newest)))
    for sample in observed.evidence.samples:
        if sample.time > _last_sample(progress):
            state = judge.observe(policy, state, sample)
            progress = _sampled(observed, progress, sample.time, policy)
    assessment = judge.assess(policy, state, _step(observed, progress))
    if policy.metrics and (learned or _is_news(observed, progress, assessment)):
        progress = _recorded(progress, _remembered(state), assessment)
    return progress, _judgement(observed, policy, assessment)


def _remembered(state: judge.State) -> str:
    """The memory, unless an earlier version laid it out too wide: status could not be written with it."""
    text = judge.encode(state)
    return text if len(text) <= ANALYSIS_STATE_LENGTH else ""


def _is_news(observed: Observed, progress: Progress, assessment: Assessment) -> bool:
    """Whether there is more to record than that time has passed: while nothing changes, nothing is written."""
    before = observed.model.status.analysis
    if before is None or not before.message or progress.status.analysis is None:
        return True
    over = assessment.verdict is Verdict.INCONCLUSIVE and progress.phase is not Phase.INCONCLUSIVE
    return over or progress.status.analysis.last_sample_time != before.last_sample_time


def arms_of(model: Model) -> tuple[str, str] | None:
    """The revision that is judged and the one that it is compared with; None while there is nothing to judge.

    A promoted revision has all the traffic, so nothing but a guard can be judged by numbers any more.
    """
    status, rollout = model.status, model.status.rollout
    if rollout is None or not rollout.weight_percent:
        return None
    if status.canary_revision and phase_of(status) is not Phase.ROLLING_BACK:
        return status.canary_revision, status.stable_revision
    guarded = any(metric.kind is MetricKind.GUARD for metric in model.spec.analysis.metrics)
    if phase_of(status) is Phase.WATCHING and status.previous_revision and guarded:
        return status.stable_revision, status.previous_revision
    return None


def counted_arms(model: Model) -> tuple[str, str] | None:
    """The revisions whose counters are read: those that are judged, or one that loses its requests, and stable."""
    status, rollout = model.status, model.status.rollout
    leaves = rollout and phase_of(status) is Phase.ROLLING_BACK and rollout.withdrawn_weight_percent
    if leaves and status.canary_revision and router(model.spec) is not Router.NONE:
        return status.canary_revision, status.stable_revision
    if _starts(model):
        return status.canary_revision, status.stable_revision
    return arms_of(model)


def _starts(model: Model) -> bool:
    """Whether a canary without weight is watched: what it counts then, it counts without users."""
    status, rollout = model.status, model.status.rollout
    if rollout is None or not status.canary_revision or not status.stable_revision:
        return False
    weights = rollout.weight_percent or rollout.withdrawn_weight_percent
    return phase_of(status) is Phase.SCALING_UP and not weights


def next_step_judged(progress: Progress) -> Progress:
    """The same with the judge's counters for a new step."""
    analysis = progress.status.analysis
    if analysis is None or not analysis.state:
        return progress
    try:
        state = judge.next_step(judge.decode(analysis.state))
    except InvalidState:
        return progress.having(analysis=None)
    return progress.having(analysis=msgspec.structs.replace(analysis, state=judge.encode(state)))


def signals_of(progress: Progress) -> Signals:
    """The signals that the servers of both revisions show."""
    status = progress.status
    names = (status.stable_revision, status.canary_revision or status.previous_revision)
    known = [measured(progress.revisions[name]).signals for name in names if name in progress.revisions]
    if not known:
        return Signals()
    shown = {
        name.value: getattr(known[0], name.value)
        if all(getattr(each, name.value) for each in known)
        else None
        for name in SignalName
    }
    return Signals(**shown)


def _policy(observed: Observed, progress: Progress) -> Policy:
    spec, signals = observed.model.spec, signals_of(progress)
    policy = policy_of(spec.analysis, spec.rollout, signals)
    policy = replace(policy, own=_own(observed, progress, policy.interval_seconds))
    if traffic.load_factor(observed, progress.status) <= OVERLOAD:
        return policy
    metrics = tuple(
        replace(metric, dry_run=True) if metric.kind is MetricKind.LATENCY else metric
        for metric in policy.metrics
    )
    return replace(policy, metrics=metrics)


def _own(observed: Observed, progress: Progress, interval_seconds: float) -> Own:
    """What the kubelet and whoever reads the metrics ask of each pod of the canary."""
    canary = progress.revisions.get(progress.status.canary_revision)
    source = observed.model.spec.analysis.source
    return own_requests(canary.template, interval_seconds, source) if canary else NOTHING


def _state(observed: Observed, progress: Progress, policy: Policy) -> tuple[judge.State, Progress]:
    """The judge's memory, or a new one when there is none that can be read.

    Before the first sample it has nothing but what was learned of requests without users: until then stable's past may
    not have been read.
    """
    analysis = progress.status.analysis
    if analysis and analysis.state:
        with contextlib.suppress(InvalidState):
            state = judge.decode(analysis.state)
            if judge.fits(policy, state):
                return (
                    state if _last_sample(progress) else judge.recalled(_begun(observed, policy), state)
                ), progress
        progress = progress.having(analysis=None)
    return _begun(observed, policy), progress


def _begun(observed: Observed, policy: Policy) -> judge.State:
    return judge.begin(policy, observed.evidence.reference or NO_HISTORY)


def _last_sample(progress: Progress) -> float:
    analysis = progress.status.analysis
    if analysis is None or not analysis.last_sample_time:
        return 0.0
    return parse(analysis.last_sample_time).timestamp()


def _sampled(observed: Observed, progress: Progress, time: float, policy: Policy) -> Progress:
    """The time of the sample; after a gap in which nobody sampled the step asks for a full window again."""
    before = _last_sample(progress)
    longest = max(LONGEST_GAP_SECONDS, 2 * policy.interval_seconds)
    if before and time - before > longest and progress.phase in (Phase.ANALYZING, Phase.INCONCLUSIVE):
        progress = progress.rolling(step_start_time=format_micro(observed.now))
    analysis = progress.status.analysis or AnalysisStatus()
    taken = format_micro(datetime.fromtimestamp(time, UTC))
    return progress.having(analysis=msgspec.structs.replace(analysis, last_sample_time=taken))


def _step(observed: Observed, progress: Progress) -> Step:
    planned, rollout = observed.asked.steps, progress.rollout
    next_phase = None
    if progress.phase is not Phase.WATCHING and rollout.weight_percent < WHOLE:
        next_phase = float(planned.weight_of(planned.step_above(rollout.weight_percent)))
    now = observed.now.timestamp()
    return Step(
        time=now,
        started=parse(rollout.step_start_time).timestamp() if rollout.step_start_time else now,
        weight_percent=rollout.weight_percent,
        next_weight_percent=next_phase,
    )


def _judgement(observed: Observed, policy: Policy, assessment: Assessment) -> Judgement:
    problem = ""
    if policy.metrics and assessment.verdict is not Verdict.ROLL_BACK:
        if observed.evidence.problem:
            problem = observed.evidence.problem.message
        elif assessment.unknown:
            problem = f"nothing is known of {', '.join(assessment.unknown)}"
    return Judgement(
        verdict=assessment.verdict,
        message=assessment.message,
        problem=problem,
        may_advance=assessment.may_advance,
    )


def _recorded(progress: Progress, state: str, assessment: Assessment) -> Progress:
    analysis = progress.status.analysis or AnalysisStatus()
    return progress.having(
        analysis=msgspec.structs.replace(
            analysis,
            message=clip(assessment.message),
            odds=_figure(assessment.odds),
            metrics=tuple(_metric(each) for each in assessment.metrics),
            state=state,
        )
    )


def _metric(figures: Figures) -> MetricStatus:
    return MetricStatus(
        name=figures.name,
        canary_hits=_figure(figures.canary_hits),
        canary_total=_figure(figures.canary_total),
        canary_rate=_figure(figures.canary_rate),
        stable_hits=_figure(figures.stable_hits),
        stable_total=_figure(figures.stable_total),
        stable_rate=_figure(figures.stable_rate),
        odds=_figure(figures.odds),
        message=clip(figures.message, _NOTE_LENGTH),
    )


def _figure(value: float | None) -> str:
    """Four significant digits; empty for what is not known."""
    return "" if value is None else f"{value:.4g}" if value < 1e6 else f"{value:.0f}"[:32]
