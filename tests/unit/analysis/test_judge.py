"""What the judge answers: rollback, advance, hold, inconclusive, and what is never an answer."""

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import Any

import pytest

from modelward.analysis.counters import BucketCounts, Increment, Sample
from modelward.analysis.judge import Assessment, State, Step, Verdict, assess, begin, fits, next_step, observe
from modelward.analysis.noise import INDEPENDENT, NO_HISTORY, MetricReference, Reference
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.api.analysis_policy import MetricAction, MetricKind
from unit.analysis.samples import (
    BOUNDS,
    ERRORS,
    LATENCY,
    assessed,
    buckets,
    gauge,
    judged,
    make_policy,
    make_sample,
    ratio,
)

WELL = ratio((0, 150), (1, 1350))
BAD = ratio((8, 150), (1, 1350))
BOTH_BAD = ratio((8, 150), (72, 1350))


def series(number: int, weight: float = 10, start: float = 0, **metrics: Increment) -> list[Sample]:
    """The same sample `number` times, every 15 s."""
    return [make_sample(start + 15 * (n + 1), weight, **metrics) for n in range(number)]


def answer(
    policy: Policy, samples: Iterable[Sample], reference: Reference = INDEPENDENT, **step: Any
) -> Assessment:
    """The assessment after all samples."""
    return assessed(policy, judged(policy, list(samples), reference), **step)


def test_a_bad_canary_is_rolled_back_after_two_scrapes() -> None:
    """5 % errors at 100 requests/s: not after the first scrape, whatever it shows."""
    policy = make_policy()
    assert answer(policy, series(1, errors=BAD)).verdict is Verdict.CONTINUE
    last = answer(policy, series(2, errors=BAD))
    assert (last.verdict, last.time, last.metric) == (Verdict.ROLL_BACK, 30, "errors")
    assert last.odds >= policy.limit


def test_no_scrape_alone_rolls_back() -> None:
    """A million failed requests at once."""
    sample = make_sample(15, errors=ratio((10**6, 10**6), (0, 10**7)))
    assert answer(make_policy(), [sample]).verdict is Verdict.CONTINUE


def test_the_verdict_stays_whatever_comes_later() -> None:
    """The time and the sentence are those of the sample that decided, even when one asks late."""
    policy = make_policy()
    state = judged(policy, series(2, errors=BAD))
    later = state
    for sample in series(50, start=30, errors=WELL):
        later = observe(policy, later, sample)
    assert later == state
    step = Step(time=900, started=0, weight_percent=10, next_weight_percent=25)
    assert assess(policy, later, step).message == assessed(policy, state).message


def test_a_repeated_sample_counts_once() -> None:
    """A crash between reading and recording must not double evidence."""
    policy = make_policy()
    sample = series(1, errors=BAD)[0]
    once = observe(policy, begin(policy, INDEPENDENT), sample)
    assert observe(policy, once, sample) == once


def test_a_good_canary_advances_when_its_harm_is_bounded() -> None:
    """After two minutes, and with requests enough: about 45 for 25 % of the traffic, about 210 for all of it."""
    policy = make_policy()
    few = ratio((0, 5), (0, 45))
    assert answer(policy, series(7, errors=few)).verdict is Verdict.CONTINUE
    assert answer(policy, series(8, errors=few)).verdict is Verdict.CONTINUE  # 40 requests
    assert answer(policy, series(9, errors=few)).verdict is Verdict.ADVANCE
    assert answer(policy, series(9, errors=few), next_weight=100).verdict is Verdict.CONTINUE
    assert (
        answer(policy, series(9, errors=ratio((0, 25), (0, 225))), next_weight=100).verdict is Verdict.ADVANCE
    )


def test_nothing_advances_while_evidence_builds_up() -> None:
    """Odds above 1:1 are no reason to roll back, and none to go on."""
    policy = make_policy()
    last = answer(policy, series(10, errors=ratio((3, 1500), (9, 13500))))
    assert 1 < last.odds < 100
    assert last.verdict is Verdict.CONTINUE


def test_no_requests_is_never_a_reason_to_advance() -> None:
    """Not after any time; the sentence says what it would take."""
    policy = make_policy()
    none = ratio((0, 0), (1, 1350))
    for seconds in (15, 300, 900, 7200):
        last = answer(policy, series(seconds // 15, errors=none))
        assert last.verdict is (Verdict.INCONCLUSIVE if seconds >= 600 else Verdict.CONTINUE)
        assert not last.may_advance
        assert (
            "no canary request in this step yet; 25% traffic needs about 43 without an error" in last.message
        )


@pytest.mark.parametrize(
    ("canary", "next_weight", "may"),
    [
        pytest.param((0, 2), 25, True, id="an intermediate step may be left"),
        pytest.param((0, 2), 100, False, id="the last one may not"),
        pytest.param((0, 0), 25, False, id="nor any without requests"),
        pytest.param((1, 300), 25, False, id="nor while evidence builds up"),
    ],
)
def test_inconclusive(canary: tuple[int, int], next_weight: float, may: bool) -> None:  # noqa: FBT001
    """After ten minutes at a step without an answer."""
    samples = series(40, errors=ratio((0, 0), (1, 900)))
    samples[1:4] = series(3, start=15, errors=ratio(canary, (0, 900)))
    last = answer(make_policy(), samples, next_weight=next_weight)
    assert (last.verdict, last.may_advance) == (Verdict.INCONCLUSIVE, may)


def test_a_step_begins_with_counters_anew_and_evidence_goes_on() -> None:
    """Both arms must have seen the same time; alpha is spent once."""
    policy = make_policy()
    before = judged(policy, series(20, errors=ratio((2, 1500), (9, 13500))))
    state = next_step(before)
    assert [metric.tests for metric in state.metrics] == [metric.tests for metric in before.metrics]
    assert assessed(policy, state, started=300, next_weight=50).verdict is Verdict.CONTINUE
    assert assessed(policy, state, started=300, next_weight=50).metrics[0].canary_total == 30_000


def test_a_change_of_weight_closes_the_stratum() -> None:
    """What came before is compared by itself, and both are counted."""
    policy = make_policy()
    few = ratio((1, 3), (0, 5))
    state = judged(policy, [make_sample(15, 5, errors=few)])
    assert state.metrics[0].strata == 0
    assert observe(policy, state, make_sample(30, 25, errors=few)).metrics[0].strata == 1


def test_intervals_soon_after_a_change_of_weight_are_left_out() -> None:
    """Quick failures finish before slow successes: with a p99 of 10 s, 40 s are left out, with 0.3 s nothing."""
    policy = make_policy(ERRORS, LATENCY)
    for bound, judged_samples in ((10.0, 2), (0.3, 4)):
        histogram = BucketCounts(bounds=(bound / 2, bound, inf), cumulative=(0, 9900, 10_000))
        reference = Reference(metrics={"latency": MetricReference(histogram=histogram)})
        state = judged(policy, series(4, errors=WELL, latency=buckets([9] * 6, [90] * 6)), reference)
        assert state.metrics[0].total.canary == 150 * judged_samples


# --- both arms, stable's own trouble ------------------------------------------------------------------------

USUAL = Reference(metrics={"errors": MetricReference(phi=1.0, hits=100, total=100_000)})


def test_a_common_incident_holds_and_clears_the_canary() -> None:
    """Stable fails far more than it used to; both fail alike."""
    last = answer(make_policy(), series(10, errors=BOTH_BAD), USUAL)
    assert last.verdict is Verdict.HOLD
    assert last.message.startswith(
        "Holding: stable is failing too (5.3%); errors are the same in both (1.0x), canary is not the cause."
    )


def test_a_common_incident_without_history_is_seen_by_the_steps_before() -> None:
    """What stable did before this step is its usual rate."""
    policy = make_policy()
    state = next_step(judged(policy, series(10, errors=WELL)))
    for sample in series(10, start=150, errors=BOTH_BAD):
        state = observe(policy, state, sample)
    assert assessed(policy, state, started=150, next_weight=50).verdict is Verdict.HOLD


def test_an_incident_that_is_over_is_forgotten() -> None:
    """Within a few minutes the rollout goes on."""
    policy = make_policy()
    state = judged(policy, series(10, errors=BOTH_BAD), USUAL)
    for sample in series(20, start=150, errors=WELL):
        state = observe(policy, state, sample)
    assert assessed(policy, state).verdict is Verdict.ADVANCE


def test_a_common_incident_never_rolls_back() -> None:
    """An hour of it."""
    assert not judged(make_policy(), series(240, errors=BOTH_BAD)).decided


def test_a_hotfix_goes_out() -> None:
    """Stable fails, the canary repairs it."""
    last = answer(make_policy(), series(10, errors=ratio((3, 150), (135, 1350))))
    assert last.verdict is Verdict.ADVANCE


# --- other kinds --------------------------------------------------------------------------------------------


def test_slow_requests_roll_back() -> None:
    """Each latency doubles: the shares beyond stable's own p90, p99 and p99.9 say so."""
    histogram = BucketCounts(bounds=BOUNDS, cumulative=(40_000, 77_000, 97_900, 99_880, 99_997, 100_000))
    reference = Reference(metrics={"latency": MetricReference(histogram=histogram)}, phi_without_history=1.0)
    increment = buckets([20, 40, 60, 25, 4, 1], [540, 500, 282, 27, 1, 0])
    last = answer(make_policy(LATENCY), series(4, latency=increment), reference)
    assert last.verdict is Verdict.ROLL_BACK
    assert "of canary requests took over 250ms" in last.message


def test_bounds_of_latency_are_chosen_from_what_stable_did_before() -> None:
    """The largest bound that enough requests of stable were beyond: p90, p99 and p99.9 of the history."""
    histogram = BucketCounts(bounds=BOUNDS, cumulative=(40_000, 77_000, 97_900, 99_880, 99_997, 100_000))
    reference = Reference(metrics={"latency": MetricReference(histogram=histogram)})
    state = judged(make_policy(LATENCY), series(1, latency=buckets([1] * 6, [9] * 6)), reference)
    assert state.metrics[0].bounds == (0.1, 0.25, 0.5)


def test_bounds_of_latency_are_chosen_as_stable_shows_them() -> None:
    """Without history each waits until ten requests of stable were beyond its quantile."""
    policy = make_policy(LATENCY)
    samples = series(40, latency=buckets([5, 5, 2, 1, 0, 0], [54, 50, 28, 3, 0, 0]))
    chosen = []
    state = begin(policy, INDEPENDENT)
    for sample in samples:
        state = observe(policy, state, sample)
        chosen.append(sum(bound == bound for bound in state.metrics[0].bounds))  # noqa: PLR0124
    assert chosen[0] == 1
    assert chosen[10] == 2
    assert chosen == sorted(chosen)


def test_differing_bounds_are_compared_where_both_have_them() -> None:
    """A new server may have other buckets."""
    canary = buckets([90, 30, 20, 10], [1] * 4, (0.1, 0.25, 2.0, inf)).canary
    stable = buckets([1] * 5, [900, 300, 100, 50, 0], (0.1, 0.2, 0.25, 0.5, inf)).stable
    state = judged(make_policy(LATENCY), series(20, latency=Increment(canary=canary, stable=stable)))
    assert set(state.metrics[0].bounds[:2]) <= {0.1, 0.25}
    assert state.metrics[0].joined


def test_without_a_common_bound_it_is_unknown() -> None:
    """Nothing can be compared, and nothing advances."""
    canary = buckets([9, 9], [1, 1], (0.1, inf)).canary
    stable = buckets([1, 1], [90, 90], (0.2, inf)).stable
    last = answer(make_policy(LATENCY), series(20, latency=Increment(canary=canary, stable=stable)))
    assert (last.verdict, last.unknown) == (Verdict.HOLD, ("latency",))


SCORES = MetricPolicy(name="scores", kind=MetricKind.DISTRIBUTION, margin=1.5, action=MetricAction.HOLD)
TENTHS = (*((n + 1) / 10 for n in range(9)), inf)


def test_drift_holds() -> None:
    """A constant output stops the promotion; it is not for the judge to say that it is wrong."""
    constant = buckets([0, 0, 0, 0, 150, 0, 0, 0, 0, 0], [135] * 10, TENTHS)
    last = answer(make_policy(ERRORS, SCORES), series(10, errors=WELL, scores=constant))
    assert last.verdict is Verdict.HOLD
    assert (
        "canary scores are above 0.4 and up to 0.5 in 100% (1500/1500) vs stable 10% (1350/13500)"
        in last.message
    )


def test_drift_rolls_back_where_the_user_says_so() -> None:
    """Its evidence is then counted with the rest."""
    constant = buckets([0, 0, 0, 0, 150, 0, 0, 0, 0, 0], [135] * 10, TENTHS)
    scores = replace(SCORES, action=MetricAction.ROLL_BACK)
    assert answer(make_policy(scores), series(10, scores=constant)).verdict is Verdict.ROLL_BACK


def test_a_missing_bucket_is_drift_too() -> None:
    """Fewer cases are as informative as more."""
    gone = buckets([0, 17, 17, 17, 17, 17, 17, 16, 16, 16], [135] * 10, TENTHS)
    assert answer(make_policy(ERRORS, SCORES), series(20, errors=WELL, scores=gone)).verdict is Verdict.HOLD


GUARD = MetricPolicy(name="slo", kind=MetricKind.GUARD, limit=0.02)


def test_a_guard_rolls_back_by_itself() -> None:
    """Beyond the user's limit, also where it is not much worse than stable."""
    last = answer(make_policy(ERRORS, GUARD), series(20, errors=WELL, slo=ratio((8, 150), (20, 1350))))
    assert (last.verdict, last.metric) == (Verdict.ROLL_BACK, "slo")
    assert "over the limit of 2%; stable 1.5%" in last.message


def test_a_guard_does_not_count_while_stable_fails_it() -> None:
    """A common incident is not the canary's fault."""
    assert not judged(make_policy(ERRORS, GUARD), series(240, errors=BOTH_BAD, slo=BOTH_BAD)).decided


def test_after_promotion_only_guards_act() -> None:
    """Nothing runs beside the new version: failures are distinguished from nothing but a limit."""
    alone = ratio((8, 1500), (0, 0))
    for policy, verdict in (
        (make_policy(ERRORS), Verdict.CONTINUE),
        (make_policy(ERRORS, replace(GUARD, limit=0.002)), Verdict.ROLL_BACK),
    ):
        samples = series(20, 100, errors=alone, slo=alone)
        last = answer(policy, samples, weight=100, next_weight=None)
        assert last.verdict is verdict


GAUGE = MetricPolicy(name="score", kind=MetricKind.GAUGE, margin=1.05, higher_is_better=True)


def test_a_gauge_needs_many_values_apart() -> None:
    """Eleven, a minute apart, however far off they are."""
    low = series(60, score=gauge(0.1, 0.7))
    state = judged(make_policy(GAUGE), low)
    assert state.decided is not None
    assert 540 <= state.decided.time <= 720
    last = assessed(make_policy(GAUGE), state)
    assert "canary score 0.1 vs stable 0.7, beyond the tolerance in" in last.message


@pytest.mark.parametrize(
    ("canary", "fine"),
    [(0.70, True), (0.67, True), (0.66, False), (0.9, True)],
    ids=["equal", "within", "beyond", "better"],
)
def test_a_gauge_has_a_margin_and_a_direction(canary: float, fine: bool) -> None:  # noqa: FBT001
    """5 % below stable is tolerated."""
    assert (judged(make_policy(GAUGE), series(120, score=gauge(canary, 0.7))).decided is None) is fine


def test_fewer_conversions_are_worse_where_higher_is_better() -> None:
    """The opposite of a hit is then what is bad."""
    sales = MetricPolicy(name="sales", kind=MetricKind.RATIO, higher_is_better=True)
    fewer, more = ratio((10, 150), (270, 1350)), ratio((60, 150), (270, 1350))
    assert judged(make_policy(sales), series(10, sales=fewer)).decided
    assert not judged(make_policy(sales), series(100, sales=more)).decided


# --- what takes part ----------------------------------------------------------------------------------------


def test_a_dry_run_is_measured_and_not_counted() -> None:
    """It is shown with its odds."""
    policy = make_policy(ERRORS, replace(LATENCY, kind=MetricKind.RATIO, dry_run=True))
    last = answer(policy, series(10, errors=WELL, latency=BAD))
    assert last.verdict is Verdict.ADVANCE
    assert last.metrics[1].odds > 100
    assert last.metrics[1].message == "not counted: dry run"


def test_the_set_is_frozen_when_traffic_begins() -> None:
    """A metric that comes later has no part; it is unknown, and said."""
    policy = make_policy(ERRORS, replace(GUARD, name="late"))
    samples = [*series(2, errors=WELL), *series(10, start=30, errors=WELL, late=BAD)]
    last = answer(policy, samples)
    assert last.verdict is Verdict.ADVANCE
    assert last.unknown == ("late",)
    assert last.message.endswith("Unknown: late.")


def test_before_traffic_nothing_is_missing() -> None:
    """A weight of 0, or no request yet."""
    waiting = answer(make_policy(), series(3, 0, errors=ratio((0, 0), (1, 900))), weight=0, next_weight=5)
    assert (waiting.verdict, waiting.unknown) == (Verdict.CONTINUE, ())


def test_a_metric_that_disappears_is_never_success() -> None:
    """After a minute without readings the rollout holds, whatever was seen before."""
    samples = [*series(8, errors=WELL), *series(6, start=120)]
    last = answer(make_policy(), samples)
    assert (last.verdict, last.unknown) == (Verdict.HOLD, ("errors",))
    assert last.message == "Holding: no readings of errors lately; unknown is not success."


def test_old_evidence_is_never_success() -> None:
    """The source is silent: no sample at all."""
    policy = make_policy()
    state = judged(policy, series(8, errors=WELL))
    step = Step(time=1000, started=0, weight_percent=10, next_weight_percent=25)
    assert assess(policy, state, step).verdict is Verdict.HOLD


def test_f05_a_step_that_begins_after_a_time_without_requests_awaits_its_metrics() -> None:
    """The canary had no weight for long, so that nothing was read; a minute into the step that is unknown, too."""
    policy = make_policy()
    state = judged(policy, series(8, errors=WELL))
    step = Step(time=1030, started=1000, weight_percent=10, next_weight_percent=25)
    made = assess(policy, state, step)
    assert (made.verdict, made.unknown) == (Verdict.CONTINUE, ())
    late = assess(policy, state, replace(step, time=1080))
    assert (late.verdict, late.unknown) == (Verdict.HOLD, ("errors",))


def test_without_a_metric_only_health_is_judged() -> None:
    """It is said, and time passes."""
    policy = Policy()
    state = begin(policy, NO_HISTORY)
    for seconds, verdict in ((60, Verdict.CONTINUE), (120, Verdict.ADVANCE)):
        step = Step(time=seconds, started=0, weight_percent=5, next_weight_percent=25)
        made = assess(policy, state, step)
        assert (made.verdict, made.message) == (
            verdict,
            "No metric is declared: only the health of the pods is judged.",
        )


def test_a_state_fits_the_metrics_that_it_was_made_for() -> None:
    """Another set of metrics begins anew."""
    state = begin(make_policy(), NO_HISTORY)
    assert fits(make_policy(step_min_seconds=300), state)
    assert not fits(make_policy(ERRORS, LATENCY), state)


def test_no_history_is_a_discount_that_is_said() -> None:
    """Evidence is halved; a severe fault is found all the same."""
    last = answer(make_policy(), series(3, errors=BAD), NO_HISTORY)
    assert last.verdict is Verdict.ROLL_BACK
    assert last.message.endswith("No noise history, evidence discounted by 2.")


def test_bursts_are_a_discount_that_is_said() -> None:
    """phi of stable's own pods."""
    reference = Reference(metrics={"errors": MetricReference(phi=7.8)})
    last = answer(make_policy(), series(9, errors=BAD), reference)
    assert last.message.endswith("Errors come in bursts (φ=7.8), evidence discounted.")


def test_evidence_from_one_pod_is_said() -> None:
    """With its node, when that is known; not when others have a part."""
    policy = make_policy()
    alone = [replace(sample, nodes={"canary-0": "node-7"}) for sample in series(2, errors=BAD)]
    assert "All evidence from pod canary-0 on node node-7." in answer(policy, alone).message
    both = replace(BAD, pods=(("canary-0", 4), ("canary-1", 4)))
    assert "All evidence" not in answer(policy, series(2, errors=both)).message


def test_the_sentence_of_a_rollback_has_rates_counts_odds_and_limit() -> None:
    """As a person reads it."""
    samples = series(2, errors=ratio((7, 300), (6, 3000)))
    assert answer(make_policy(), samples).message == (
        "Rolled back after 30s: canary errors 2.3% (14/600) vs stable 0.2% (12/6000), 12x;"
        " odds against chance 264:1 (limit 100:1). All evidence from pod canary-0."
    )


def test_a_late_onset_is_found() -> None:
    """After twenty good minutes it takes a few scrapes more, not another twenty minutes."""
    state = judged(make_policy(), [*series(80, errors=WELL), *series(20, start=1200, errors=BAD)])
    assert state.decided is not None
    assert state.decided.time - 1200 <= 75


def test_states_are_values() -> None:
    """Observing leaves the state that it began with alone."""
    policy = make_policy()
    state: State = begin(policy, INDEPENDENT)
    observe(policy, state, series(1, errors=BAD)[0])
    assert state == begin(policy, INDEPENDENT)
