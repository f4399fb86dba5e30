"""The verdict in one sentence: both rates, counts, odds and limit; what is still possible, and what it would take."""

from math import exp, isnan, log

from modelward.analysis.noise import PHI_WITHOUT_HISTORY
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.promotion import Harm, cases_needed
from modelward.analysis.state import NoiseSource, State
from modelward.analysis.strata import log_odds_of
from modelward.analysis.table import MetricState, Table
from modelward.analysis.verdict import Step
from modelward.api.analysis_policy import MetricKind

MOST_ODDS = 1_000_000
_NOISY = 1.5
_MATTERS = 10
"""It is said what is left out where that is more than one request in so many."""
_MOST_LOG = 700.0


def odds(log_value: float) -> float:
    """Odds from their logarithm, finite."""
    return exp(min(log_value, _MOST_LOG))


def in_odds(value: float) -> str:
    """`2,700:1`."""
    if value > MOST_ODDS:
        return f"> {MOST_ODDS:,}:1"
    return f"{value:,.0f}:1" if value >= 10 else f"{value:.1f}:1"


def percent(share: float) -> str:
    """`2.1%`, `0.013%`."""
    value = 100 * share
    if value >= 10 or value == 0:
        return f"{value:.0f}%"
    return f"{value:.2g}%" if value >= 0.001 else "< 0.001%"


def duration(seconds: float) -> str:
    """`45s`, `6m`, `2m30s`, `3h5m`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m" if minutes else f"{hours}h"


def _length(seconds: float) -> str:
    """A bound of a latency histogram: `100ms`, `2.5s`."""
    return f"{seconds * 1000:.4g}ms" if seconds < 1 else f"{seconds:.4g}s"


# --- what one metric shows ----------------------------------------------------------------------------------


def finding(metric: MetricPolicy, state: MetricState) -> str:
    """`canary errors 2.1% (21/1000) vs stable 0.2% (18/9000), 10x`."""
    match metric.kind:
        case MetricKind.LATENCY:
            return _slow(state)
        case MetricKind.DISTRIBUTION:
            return _drifted(metric, state)
        case MetricKind.GUARD:
            return _over_limit(metric, state)
        case MetricKind.GAUGE:
            return _off(metric, state)
        case MetricKind.RATIO:
            table = informative(state, 0)
            return (
                f"canary {metric.name} {share_of(table, 0)} vs stable {share_of(table, 0, stable=True)}"
                f"{_factor(table, 0)}"
            )


def informative(state: MetricState, test: int) -> Table:
    """The counts that show more of a difference: of this step, or of the whole rollout."""
    step, total = state.step, state.total
    apart = abs(_log_factor(step, test)) > abs(_log_factor(total, test))
    return step if apart and step.canary_hits and step.canary_hits[test] else total


def _log_factor(table: Table, test: int) -> float:
    if not table.canary or not table.stable:
        return 0.0
    canary = (table.canary_hits[test] + 0.5) / (table.canary + 1)
    return log(canary / ((table.stable_hits[test] + 0.5) / (table.stable + 1)))


def share_of(table: Table, test: int, *, stable: bool = False) -> str:
    """`2.1% (21/1000)`."""
    cases, hits = (table.stable, table.stable_hits) if stable else (table.canary, table.canary_hits)
    return f"{percent(hits[test] / cases)} ({hits[test]}/{cases})" if cases else "unknown (no requests)"


def _factor(table: Table, test: int) -> str:
    if not table.canary or not table.stable or not table.stable_hits[test]:
        return ""
    ratio = table.canary_hits[test] / table.canary * table.stable / table.stable_hits[test]
    return f", {ratio:.0f}x" if ratio >= 10 else f", {ratio:.1f}x"


def strongest(state: MetricState) -> int:
    """The test with the most evidence."""
    return max(range(len(state.tests)), key=lambda test: log_odds_of(state, test))


def _slow(state: MetricState) -> str:
    test = strongest(state)
    if isnan(state.bounds[test]) or not state.total.canary:
        return "the latency of the canary"
    table = informative(state, test)
    return (
        f"{percent(table.canary_hits[test] / table.canary)} of canary requests took over"
        f" {_length(state.bounds[test])} ({table.canary_hits[test]}/{table.canary})"
        f" vs {share_of(table, test, stable=True)} in stable"
    )


def _drifted(metric: MetricPolicy, state: MetricState) -> str:
    bucket = strongest(state) // 2
    if not state.total.canary or not state.bounds:
        return f"the distribution of {metric.name} in the canary"
    table = informative(state, bucket)
    low = f"above {state.bounds[bucket - 1]:.4g}" if bucket else ""
    high = f"up to {state.bounds[bucket]:.4g}" if bucket < len(state.bounds) - 1 else ""
    where = f"{low} and {high}" if low and high else low or high
    return (
        f"canary {metric.name} are {where} in {share_of(table, bucket)} vs stable"
        f" {share_of(table, bucket, stable=True)}"
    )


def _over_limit(metric: MetricPolicy, state: MetricState) -> str:
    table = state.total
    step_worse = (
        state.step.canary
        and state.step.canary_hits[0] * table.canary > table.canary_hits[0] * state.step.canary
    )
    table = state.step if step_worse else table
    return (
        f"canary {metric.name} {share_of(table, 0)}, over the limit of {percent(metric.limit or 0)};"
        f" stable {share_of(table, 0, stable=True)}"
    )


def _off(metric: MetricPolicy, state: MetricState) -> str:
    canary, stable = state.values or (0.0, 0.0)
    worse = state.total.canary_hits[0] if state.total.canary_hits else 0
    return (
        f"canary {metric.name} {canary:.4g} vs stable {stable:.4g},"
        f" beyond the tolerance in {worse} of {state.total.canary} samples"
    )


def remarks(state: State, metric: MetricState) -> str:
    """What a reader should know about the evidence: it comes from one pod, or was discounted."""
    parts = []
    hits = sum(metric.total.canary_hits[:1]) if metric.kind is not MetricKind.LATENCY else metric.total.canary
    if metric.pod and metric.lead >= max(1, hits):
        parts.append(f"All evidence from pod {metric.pod}.")
    worst = max(metric.phis)
    if state.noise is NoiseSource.NONE and 1 < worst <= PHI_WITHOUT_HISTORY:
        much = "No" if worst == PHI_WITHOUT_HISTORY else "Little"
        parts.append(f"{much} noise history, evidence discounted by {worst:.2g}.")
    elif worst >= _NOISY:
        totals = " from totals" if state.noise is NoiseSource.TOTALS else ""
        noun = "Errors" if metric.kind is MetricKind.RATIO else "Cases"
        parts.append(f"{noun} come in bursts (φ={worst:.2g}{totals}), evidence discounted.")
    return "".join(f" {part}" for part in parts)


# --- the sentences ------------------------------------------------------------------------------------------


def worse(metric: MetricPolicy, state: MetricState, total: float, limit: float) -> str:
    """The evidence that decided, in words such as `odds against chance 2,700:1 (limit 100:1).`."""
    return f"{finding(metric, state)}; odds against chance {in_odds(total)} (limit {limit:,.0f}:1)."


def still_possible(metric: MetricPolicy, harm: Harm, phi: float, step: Step) -> str:
    """What the next step needs: a bound, or requests at all."""
    if step.next_weight_percent is None:
        return ""
    goal = "promotion" if step.next_weight_percent >= 100 else f"{step.next_weight_percent:g}% traffic"
    if not harm.cases:
        needed = cases_needed(harm.allowed_upper, phi)
        none = "an error" if metric.errors else "a hit"
        return f"no canary request{beyond(harm)} in this step yet; {goal} needs about {needed} without {none}"
    noun = "error rate" if metric.errors else f"share of {_hit_noun(metric)}"
    hits = "no error" if metric.errors else "no hit"
    if harm.hits:
        noun_of_hits = "error" if metric.errors else "hit"
        hits = f"{harm.hits} {noun_of_hits}{'s' if harm.hits > 1 else ''}"
    return (
        f"canary {noun} could still be up to {percent(harm.canary_upper)} ({requests(harm)}, {hits}),"
        f" {goal} needs {percent(harm.allowed_upper)}"
    )


def requests(harm: Harm, *, of: str = "") -> str:
    """How many requests there were beyond those that may be of no user; all of them, where these are few."""
    if harm.unasked * _MATTERS <= harm.cases:
        return f"{harm.cases + harm.unasked} {of}requests"
    return f"{harm.cases} {of}requests{beyond(harm)}"


def beyond(harm: Harm) -> str:
    """Requests that are not counted as users', to be put behind a count of those that are."""
    rate = f" at up to {harm.own_rate:.2g}/s a pod" if harm.own_rate else ""
    return f" beyond {harm.unasked} that may be probes and scrapes{rate}" if harm.unasked else ""


def _hit_noun(metric: MetricPolicy) -> str:
    return "slow requests" if metric.kind is MetricKind.LATENCY else metric.name


def no_metric() -> str:
    """Nothing is declared to compare."""
    return "No metric is declared: only the health of the pods is judged."
