"""The verdict: what the evidence allows at one moment, in one sentence."""

from dataclasses import dataclass, replace
from math import log

from modelward.analysis import messages, promotion
from modelward.analysis.evidence import heaviest, lead, limit_of, pairs, total_limit, total_log_odds
from modelward.analysis.messages import duration, in_odds, odds, percent
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.promotion import Harm
from modelward.analysis.state import Decided, State
from modelward.analysis.strata import log_odds
from modelward.analysis.table import MetricState
from modelward.analysis.verdict import Assessment, Figures, Step, Verdict
from modelward.api.analysis_policy import MetricAction, MetricKind

STALE_SECONDS = 60.0
STALE_INTERVALS = 5
"""A metric that was not had for so long is unknown, and unknown is not success."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What a verdict is made from."""

    policy: Policy
    state: State
    step: Step
    total: float
    lead: tuple[MetricPolicy, MetricState] | None
    harm: Harm | None
    unknown: tuple[str, ...]

    @property
    def elapsed(self) -> float:
        return self.step.time - self.step.started

    @property
    def both_had_requests(self) -> bool:
        """Whether any metric that counts was counted in both arms in this step; values of gauges, if there are no others."""
        judged = [m for metric, m in pairs(self.policy, self.state) if metric.kind is not MetricKind.GUARD]
        counted = [memory for memory in judged if memory.kind is not MetricKind.GAUGE] or judged
        seconds = self.state.pod_seconds
        return any(memory.users_cases(seconds) and memory.step.stable for memory in counted)


def assess(policy: Policy, state: State, step: Step) -> Assessment:
    """The verdict at `step.time`, in one sentence. Never raises."""
    if state.decided:
        return _rolled_back(policy, state, state.decided)
    leading = lead(policy, state)
    case = _Case(
        policy=policy,
        state=state,
        step=step,
        total=odds(total_log_odds(policy, state)),
        lead=leading,
        harm=_harm(state, leading, step),
        unknown=_unknown(policy, state, step),
    )
    verdict, message = _verdict(case)
    return Assessment(
        verdict=verdict,
        odds=case.total,
        metric=heaviest(policy, state),
        message=message + _unknown_remark(case, message),
        metrics=figures(policy, state, step),
        unknown=case.unknown,
        may_advance=_may_advance(case),
    )


def _rolled_back(policy: Policy, state: State, decided: Decided) -> Assessment:
    name = decided.metric
    metric, memory = next(pair for pair in pairs(policy, state) if pair[0].name == name)
    alone = metric.kind is MetricKind.GUARD
    total = odds(log_odds(memory) if alone else total_log_odds(policy, state))
    after = decided.time - (decided.time if state.began is None else state.began)
    limit = limit_of(policy, [memory]) if alone else total_limit(policy, state)
    text = messages.worse(metric, memory, total, limit) + messages.remarks(state, memory)
    return Assessment(
        verdict=Verdict.ROLL_BACK,
        odds=total,
        metric=name,
        message=f"Rolled back after {duration(after)}: {text}",
        metrics=figures(policy, state, None),
        time=decided.time,
    )


def _harm(state: State, leading: tuple[MetricPolicy, MetricState] | None, step: Step) -> Harm | None:
    """The harm of the next step; None: there is no next step, or nothing that bounds it."""
    if leading is None or not step.next_weight_percent:
        return None
    test = 1 if leading[0].kind is MetricKind.LATENCY else 0
    return promotion.harm(leading[1], test, step.next_weight_percent, state.pod_seconds)


def _unknown(policy: Policy, state: State, step: Step) -> tuple[str, ...]:
    """The metrics that were never had, or not for too long; before the canary's traffic nothing is missing."""
    if not state.frozen:
        return ()
    return tuple(m.name for m in state.metrics if not m.joined or _is_stale(policy, m, step))


def _is_stale(policy: Policy, state: MetricState, step: Step) -> bool:
    """Not had for too long since the step began: before it the canary may have had no traffic, and so no samples."""
    longest = max(STALE_SECONDS, STALE_INTERVALS * policy.interval_seconds)
    return state.known is None or step.time - max(state.known, step.started) > longest


def _verdict(case: _Case) -> tuple[Verdict, str]:
    policy, step = case.policy, case.step
    waited = case.elapsed >= policy.step_min_seconds
    if step.next_weight_percent is None:
        return Verdict.CONTINUE, _watching(case)
    if not policy.metrics:
        return (Verdict.ADVANCE if waited else Verdict.CONTINUE), messages.no_metric()
    if reason := _held(case):
        return Verdict.HOLD, reason
    if waited and _may_pass(case):
        return Verdict.ADVANCE, _so_far(case)
    if case.elapsed >= policy.step_max_seconds:
        return Verdict.INCONCLUSIVE, _inconclusive(case)
    return Verdict.CONTINUE, _so_far(case)


def _held(case: _Case) -> str:
    """Why the rollout must not go on for now; empty when it may."""
    return _missing(case) or _incident(case) or _objection(case)


def _missing(case: _Case) -> str:
    """Why nothing can be said for want of metrics; empty when there is enough."""
    effective = [metric for metric, _ in pairs(case.policy, case.state) if not metric.dry_run]
    stale = [metric.name for metric in effective if metric.name in case.unknown]
    if stale:
        return f"Holding: no readings of {', '.join(stale)} lately; unknown is not success."
    if case.state.frozen and not effective:
        return f"Holding: {', '.join(case.unknown) or 'no metric'} not shown by both versions; nothing can be compared."
    return ""


def _may_pass(case: _Case) -> bool:
    """Whether more traffic is justified: no evidence builds up, both arms had requests, the harm is bounded."""
    if not case.both_had_requests or case.total >= 1:
        return False
    return case.harm is None or case.harm.bounded


def _may_advance(case: _Case) -> bool:
    """Whether an intermediate step may be left without an answer. No requests is never a reason to advance."""
    next_weight = case.step.next_weight_percent
    intermediate = next_weight is not None and next_weight < 100
    return intermediate and case.both_had_requests and case.total < 1 and not _held(case)


def _objection(case: _Case) -> str:
    """What a metric with the action Hold has against it; empty when none has."""
    for metric, memory in pairs(case.policy, case.state):
        holds = metric.action is MetricAction.HOLD and not metric.dry_run
        limit = limit_of(case.policy, [memory])
        if holds and log_odds(memory) >= log(limit):
            text = messages.worse(metric, memory, odds(log_odds(memory)), limit)
            return f"Holding: {text}{messages.remarks(case.state, memory)}"
    return ""


# --- sentences that need the whole case ---------------------------------------------------------------------


def _incident(case: _Case) -> str:
    """That stable itself fails, and whether the canary has a part in it; empty when it is well."""
    if case.lead is None or not case.state.incident.lasts:
        return ""
    metric, memory = case.lead
    table = memory.step if memory.step.stable and memory.step.canary else memory.total
    stable = table.stable_hits[0] / table.stable if table.stable else 0.0
    canary = table.canary_hits[0] / table.canary if table.canary else 0.0
    text = f"Holding: stable is failing too ({percent(stable)});"
    if not table.canary:
        return f"{text} the canary had no request."
    factor = f"{canary / stable:.1f}x" if stable else percent(canary)
    if case.total < 1:
        return f"{text} {metric.name} are the same in both ({factor}), canary is not the cause."
    return f"{text} canary {metric.name} {percent(canary)} ({factor}), odds against chance {in_odds(case.total)}."


def _watching(case: _Case) -> str:
    guards = [metric.name for metric, _ in pairs(case.policy, case.state) if metric.kind is MetricKind.GUARD]
    by = f"the health of the pods and {', '.join(guards)}" if guards else "the health of the pods"
    return f"Watching since {duration(case.elapsed)}: all traffic is on the new version, judged by {by}."


def _so_far(case: _Case) -> str:
    where = f"Step {case.step.weight_percent:g}% since {duration(case.elapsed)}"
    sign = "no sign of harm" if case.total < 1 else "not yet clear"
    if not case.state.frozen:
        sign = "nothing to compare yet"
    text = f"{where}: {sign} ({in_odds(case.total)})"
    return f"{text}; {outlook}." if (outlook := _outlook(case)) else f"{text}."


def _outlook(case: _Case) -> str:
    """What the next step needs."""
    leading = case.lead or _expected_lead(case)
    harm = case.harm or _harm(case.state, leading, case.step)
    if leading is None or harm is None:
        return ""
    return messages.still_possible(leading[0], harm, leading[1].phis[0], case.step)


def _expected_lead(case: _Case) -> tuple[MetricPolicy, MetricState] | None:
    """The metric that will bound the harm, as far as it is known before there is traffic."""
    if case.state.frozen:
        return None
    joined = tuple(replace(memory, joined=True) for memory in case.state.metrics)
    return lead(case.policy, replace(case.state, metrics=joined))


def _inconclusive(case: _Case) -> str:
    began = case.step.started if case.state.began is None else case.state.began
    text = f"Inconclusive after {duration(case.step.time - began)}"
    if case.total >= 1:
        return f"{text}: evidence against the canary is building up ({in_odds(case.total)}), not enough to decide."
    if not case.both_had_requests or case.harm is None or case.lead is None:
        outlook = _outlook(case)
        return f"{text}: {outlook}." if outlook else f"{text}: no requests to compare in this step."
    noun = "an error rate" if case.lead[0].errors else f"a share of {case.lead[0].name}"
    return (
        f"{text}: {messages.requests(case.harm, of='canary ')};"
        f" {noun} above {percent(case.harm.canary_upper)} is excluded, smaller regressions are not."
    )


def _unknown_remark(case: _Case, message: str) -> str:
    missing = [name for name in case.unknown if name not in message]
    return f" Unknown: {', '.join(missing)}." if missing else ""


# --- figures ------------------------------------------------------------------------------------------------


def figures(policy: Policy, state: State, step: Step | None) -> tuple[Figures, ...]:
    """What was measured, metric by metric."""
    pairs = zip(policy.metrics, state.metrics, strict=True)
    return tuple(_figures(policy, state, metric, memory, step) for metric, memory in pairs)


def _figures(
    policy: Policy, state: State, metric: MetricPolicy, memory: MetricState, step: Step | None
) -> Figures:
    stale = step is not None and state.frozen and _is_stale(policy, memory, step)
    unknown = state.frozen and (not memory.joined or stale)
    note = "not counted: dry run" if metric.dry_run else ""
    if unknown:
        note = "unknown: not shown by both versions" if not memory.joined else "unknown: no readings lately"
    made = Figures(name=metric.name, odds=odds(log_odds(memory)), unknown=unknown, message=note)
    table = memory.total
    if metric.kind is MetricKind.GAUGE:
        canary, stable = memory.values or (None, None)
        return replace(made, canary_rate=canary, stable_rate=stable)
    if not table.canary_hits:
        return made
    test = _shown_test(metric, memory)
    canary_hits, stable_hits = table.canary_hits[test], table.stable_hits[test]
    return replace(
        made,
        canary_hits=canary_hits,
        canary_total=table.canary,
        canary_rate=canary_hits / table.canary if table.canary else None,
        stable_hits=stable_hits,
        stable_total=table.stable,
        stable_rate=stable_hits / table.stable if table.stable else None,
        message=note or messages.finding(metric, memory),
    )


def _shown_test(metric: MetricPolicy, memory: MetricState) -> int:
    match metric.kind:
        case MetricKind.LATENCY:
            return messages.strongest(memory)
        case MetricKind.DISTRIBUTION:
            return messages.strongest(memory) // 2
    return 0
