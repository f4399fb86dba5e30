"""The judge: from samples to a verdict. Pure functions of (policy, state, sample).

    state = begin(policy, reference)
    state = observe(policy, state, sample)       # for each sample
    assessment = assess(policy, state, step)     # whenever a verdict is wanted
    state = next_step(state)                     # when the canary gets more traffic

Evidence is carried through all steps: alpha is spent once per rollout. It is recorded in `observe` when the limit is
reached, so that a verdict does not depend on how often one asks.
"""

from collections.abc import Collection
from dataclasses import replace
from math import log

from modelward.analysis import core, latency, metric_kinds, promotion
from modelward.analysis.allotment import Allotment, allotted
from modelward.analysis.assessment import assess
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample
from modelward.analysis.evidence import heaviest, lead, limit_of, pairs, total_limit, total_log_odds
from modelward.analysis.idle import Idle
from modelward.analysis.noise import NO_HISTORY, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.promotion import Incident
from modelward.analysis.state import Decided, NoiseSource, State, decode, encode
from modelward.analysis.strata import closed, horizon, log_odds
from modelward.analysis.table import EMPTY, MetricState
from modelward.analysis.verdict import Assessment, Figures, Step, Verdict
from modelward.api.analysis_policy import MetricAction, MetricKind

__all__ = [
    "Assessment",
    "Figures",
    "State",
    "Step",
    "Verdict",
    "assess",
    "begin",
    "decode",
    "encode",
    "fits",
    "informed",
    "lasted",
    "next_step",
    "observe",
    "recalled",
    "with_idle",
]

SETTLE_QUANTILES = 4
"""An interval that ends sooner after a change of weight than so many times stable's p99 is left out."""


# --- samples ------------------------------------------------------------------------------------------------


def begin(policy: Policy, reference: Reference = NO_HISTORY) -> State:
    """The memory at the start of a rollout, with what is known of stable's past frozen into it."""
    errors = next((metric for metric in policy.metrics if metric.errors), None)
    known = reference.metrics.get(errors.name) if errors else None
    usual = promotion.usual_share(known.hits, known.total) if known else None
    allotment = _allotted(policy)
    return State(
        metrics=tuple(metric_kinds.begun(metric, reference, allotment) for metric in policy.metrics),
        noise=_noise_source(reference),
        usual=usual,
        settle_seconds=_settle_seconds(policy, reference),
        incident=Incident(usual=usual),
    )


def with_idle(policy: Policy, state: State, idle: Idle) -> State:
    """The memory with what is known of the requests that come to the canary without users."""
    own = _short(policy.own.per_second)
    metrics = tuple(
        metric
        if metric.kind is MetricKind.GAUGE  # its values are no requests
        else replace(
            metric, own_rate=_short(idle.rate(metric.name, policy.own, _own_rate(state, metric, own)))
        )
        for metric in state.metrics
    )
    return replace(state, own=own, metrics=metrics)


def _own_rate(state: State, metric: MetricState, own: float) -> float:
    """What is remembered of a metric: what was learned while something else was asked says little, unless it is none."""
    learned = state.own == own or (state.own and not metric.own_rate)
    return metric.own_rate if learned else max(own, metric.own_rate)


def recalled(state: State, before: State) -> State:
    """The memory with what another one of the same metrics has learned of requests without users."""
    pairs = zip(state.metrics, before.metrics, strict=True)
    metrics = tuple(replace(metric, own_rate=old.own_rate) for metric, old in pairs)
    return replace(state, own=before.own, metrics=metrics)


def informed(state: State, today: Reference) -> State:
    """The memory with the noise that is known by now: all evidence is read by it. A verdict stays as it was."""
    if state.decided:
        return state
    return replace(state, metrics=tuple(metric_kinds.informed(metric, today) for metric in state.metrics))


def lasted(state: State, time: float | None) -> float:
    """Seconds at `time` since the canary's traffic began: so long are the blocks whose noise it is judged by."""
    return 0.0 if state.began is None or time is None else time - state.began


def _allotted(policy: Policy) -> Allotment:
    return allotted(metric.kind for metric in policy.metrics)


def _noise_source(reference: Reference) -> NoiseSource:
    if reference.phi_without_history == 1:
        return NoiseSource.ASSUMED
    if all(known.guessed for known in reference.metrics.values()):
        return NoiseSource.NONE
    totals = any(known.from_totals for known in reference.metrics.values())
    return NoiseSource.TOTALS if totals else NoiseSource.PODS


def _settle_seconds(policy: Policy, reference: Reference) -> float:
    names = [metric.name for metric in policy.metrics if metric.kind is MetricKind.LATENCY]
    histograms = [reference.metrics[name].histogram for name in names if name in reference.metrics]
    return SETTLE_QUANTILES * max((latency.p99(histogram) for histogram in histograms), default=0.0)


def fits(policy: Policy, state: State) -> bool:
    """Whether `state` was made for the metrics of `policy`; if not, judging begins anew."""
    made_for = [(metric.name, metric.kind) for metric in state.metrics]
    return made_for == [(metric.name, metric.kind) for metric in policy.metrics]


def observe(policy: Policy, state: State, sample: Sample) -> State:
    """The memory after `sample`. One that is not later than the last changes nothing: nothing counts twice."""
    if state.decided or (state.time is not None and sample.time <= state.time):
        return state
    before = state = _within(policy, state)
    if sample.flaws:
        state = _without(policy, state, sample.flaws.keys())
    state = replace(_at_weight(policy, state, sample), time=sample.time)
    if not state.frozen and _has_canary_traffic(sample):
        state = _frozen(policy, state, sample)
    if not state.frozen:
        return state
    pairs = zip(policy.metrics, state.metrics, strict=True)
    if state.moved is not None and sample.time - state.moved < state.settle_seconds:
        metrics = tuple(_uncertain(_heard(metric, sample), sample) for metric in state.metrics)
        return replace(state, metrics=metrics)
    metrics = tuple(_uncertain(_observed(policy, metric, memory, sample), sample) for metric, memory in pairs)
    judged = replace(
        state,
        metrics=metrics,
        incident=_incident(policy, state, sample),
        pod_seconds=_short(state.pod_seconds + _pod_seconds(policy, state, sample, before.time)),
    )
    return _decided(policy, judged, before)


def _within(policy: Policy, state: State) -> State:
    """The memory without what an earlier version kept beyond what there is room for."""
    allotment = _allotted(policy)
    return replace(state, metrics=tuple(metric_kinds.within(metric, allotment) for metric in state.metrics))


def _without(policy: Policy, state: State, names: Collection[str]) -> State:
    """The memory without what these metrics have shown, and without what may have come from them."""
    own = _short(policy.own.per_second)
    metrics = tuple(_forgotten(metric, own) if metric.name in names else metric for metric in state.metrics)
    return replace(state, metrics=metrics, incident=Incident(usual=state.usual))


def _forgotten(state: MetricState, own: float) -> MetricState:
    """The memory of a metric as it was before its first sample; what is tested stays the same."""
    alternatives = core.SIGN_ALTERNATIVES if state.kind is MetricKind.GAUGE else core.RATIO_ALTERNATIVES
    return replace(
        state,
        known=None,
        tests=(core.begun(alternatives),) * len(state.tests),
        strata=0,
        open=EMPTY,
        polls=0,
        step=EMPTY,
        total=EMPTY,
        own_rate=state.own_rate if state.kind is MetricKind.GAUGE else max(own, state.own_rate),
        fresh=0.0,
        pod="",
        lead=0,
    )


def _uncertain(state: MetricState, sample: Sample) -> MetricState:
    """The memory of a metric that may be wrong: evidence goes on, but it is not known well enough to go on."""
    return replace(state, known=None) if state.name in sample.uncertain else state


def _at_weight(policy: Policy, state: State, sample: Sample) -> State:
    """A change of weight closes the open strata: what came before is compared by itself."""
    if state.weight == sample.weight_percent:
        return state
    pairs = zip(policy.metrics, state.metrics, strict=True)
    before = sample.time - policy.interval_seconds
    return replace(
        state,
        metrics=tuple(closed(policy, metric, memory) for metric, memory in pairs),
        weight=sample.weight_percent,
        moved=before if state.time is None else state.time,
    )


def _has_canary_traffic(sample: Sample) -> bool:
    if sample.weight_percent <= 0:
        return False
    arms = (increment.canary for increment in sample.metrics.values())
    return any(isinstance(arm, RatioCounts | BucketCounts) and arm.total > 0 for arm in arms) or (
        bool(sample.metrics) and not any(_is_counted(increment) for increment in sample.metrics.values())
    )


def _is_counted(increment: Increment) -> bool:
    return isinstance(increment.canary, RatioCounts | BucketCounts)


def _frozen(policy: Policy, state: State, sample: Sample) -> State:
    """The memory with the set of metrics fixed to those that both arms have now."""
    allotment = _allotted(policy)
    return replace(
        state,
        metrics=tuple(_joined(metric, sample, allotment) for metric in state.metrics),
        frozen=True,
        began=state.moved,
    )


def _joined(state: MetricState, sample: Sample, allotment: Allotment) -> MetricState:
    increment = sample.metrics.get(state.name)
    shaped = metric_kinds.shaped(state, increment, allotment) if increment else None
    return replace(shaped, joined=True) if shaped else state


def _heard(state: MetricState, sample: Sample) -> MetricState:
    return replace(state, known=sample.time) if state.name in sample.metrics and state.joined else state


def _observed(policy: Policy, metric: MetricPolicy, state: MetricState, sample: Sample) -> MetricState:
    increment = sample.metrics.get(state.name)
    if increment is None or not state.joined:
        return state
    most = _allotted(policy).pod_characters
    increment = replace(increment, pods=tuple((_placed(pod, sample, most), n) for pod, n in increment.pods))
    after = metric_kinds.observed(policy, metric, state, increment, sample.time)
    if after is None:
        return state
    fresh = increment.fresh if policy.own.sources or state.own_rate else 0.0
    return replace(after, known=sample.time, fresh=_short(state.fresh + fresh))


def _short(estimate: float) -> float:
    """In few digits: it is remembered, and is no more exact than that."""
    return float(f"{estimate:.6g}")


def _pod_seconds(policy: Policy, state: State, sample: Sample, before: float | None) -> float:
    """For how long the canary's pods were counted since the last sample that counted anything.

    Each is taken to have run longer when a step begins, by the time in which each source asks once: however short
    a time is, it may have one request more of each than their rates say.
    """
    if not sample.metrics:
        return 0.0
    known = [metric.known for metric in state.metrics if metric.known is not None]
    since = max(known, default=sample.time - policy.interval_seconds if before is None else before)
    seconds = sample.time - since + (0.0 if state.pod_seconds else policy.own.longest_seconds)
    return seconds * max(1, *(len(increment.pods) for increment in sample.metrics.values()))


def _placed(pod: str, sample: Sample, most: int) -> str:
    """The pod and its node, as far as there is room to remember them."""
    placed = f"{pod} on node {sample.nodes[pod]}" if pod in sample.nodes else pod
    return placed if len(placed) <= most else pod[:most]


def _incident(policy: Policy, state: State, sample: Sample) -> Incident:
    """The evidence that stable itself fails, by the metric that bounds the harm."""
    leading = lead(policy, state)
    increment = sample.metrics.get(leading[1].name) if leading else None
    if leading is None or increment is None or not isinstance(increment.stable, RatioCounts):
        return state.incident
    cases = round(increment.stable.total)
    return state.incident.plus(
        min(round(increment.stable.hits), cases),
        cases,
        phi=leading[1].phis[0],
        horizon=horizon(policy.interval_seconds),
        cap=core.cap_of(policy.alpha),
    )


def _decided(policy: Policy, state: State, before: State) -> State:
    """The memory with the verdict, when a sample has brought the evidence to the limit: of all, or of a guard alone.

    Evidence may also rise because the noise is less than was thought. That alone decides nothing: a single sample,
    however bad, must be followed by another that speaks against the canary, too.
    """
    guilty = _guilty_guard(policy, state, before)
    if not guilty:
        total = total_log_odds(policy, state)
        if total < log(total_limit(policy, state)) or total <= total_log_odds(policy, before):
            return state
        guilty = heaviest(policy, state)
    return replace(state, decided=Decided(time=state.time or 0.0, metric=guilty))


def _guilty_guard(policy: Policy, state: State, before: State) -> str:
    """The name of a guard that the sample brought to the limit; empty when there is none."""
    then = {metric.name: metric for metric in before.metrics}
    for metric, memory in pairs(policy, state):
        acts = metric.kind is MetricKind.GUARD and metric.action is MetricAction.ROLL_BACK
        if (
            acts
            and not metric.dry_run
            and log_odds(then[metric.name]) < log_odds(memory) >= log(limit_of(policy, [memory]))
        ):
            return metric.name
    return ""


def next_step(state: State) -> State:
    """The memory at the start of the next step: what is counted per step begins anew, evidence does not."""
    usual = state.usual
    lead = next(
        (metric for metric in state.metrics if metric.kind is MetricKind.RATIO and metric.joined), None
    )
    if usual is None and lead and lead.total.canary_hits:
        usual = promotion.usual_share(lead.total.stable_hits[0], lead.total.stable)
    metrics = tuple(replace(metric, step=EMPTY, fresh=0.0) for metric in state.metrics)
    return replace(state, metrics=metrics, incident=Incident(usual=usual), pod_seconds=0.0)
