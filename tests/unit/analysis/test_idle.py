"""Probes and scrapes are no evidence: a canary without users is never given more traffic for them."""

import json
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng

from modelward.analysis.counters import Counters
from modelward.analysis.idle import NOTHING, Fewest, Idle, Own, Source, own_requests
from modelward.analysis.judge import (
    assess,
    begin,
    decode,
    encode,
    next_step,
    observe,
    recalled,
    with_idle,
)
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.policy import MetricPolicy, Policy
from modelward.analysis.readings import Arm, HistogramReading, PodReading, Poll, RatioReading
from modelward.analysis.tracks import Flaw
from modelward.analysis.verdict import Assessment, Step, Verdict
from modelward.api.analysis_policy import MetricKind
from support.repeatable import examples
from unit.analysis.canaries import Canary, Life, probed
from unit.analysis.canaries import played as canary_played
from unit.analysis.samples import ERRORS, make_policy, make_sample, ratio
from unit.analysis.samples import gauge as gauge_values

READINESS = Source(period_seconds=5, first_seconds=6.5)
LIVENESS = Source(period_seconds=10, first_seconds=11.5)
READING = Source(period_seconds=5, first_seconds=5.5)
OWN = Own(sources=(READINESS, READING))
ALL = Own(sources=(READINESS, LIVENESS, READING))


def reading(total: float) -> RatioReading:
    """A counter without an error."""
    return RatioReading(hits=0, total=total)


def poll(
    time: float, weight: float, canary: float, stable: float, *, pods: int = 1, ready: float | None = 0.0
) -> Poll:
    """Both arms at one time, as counters since the start."""
    shown = [
        PodReading(pod=f"c{number}", arm=Arm.CANARY, metrics={"errors": reading(canary)}, ready_since=ready)
        for number in range(pods)
    ]
    own = PodReading(pod="s", arm=Arm.STABLE, metrics={"errors": reading(stable)}, ready_since=0.0)
    return Poll(time=time, weight_percent=weight, pods=(*shown, own))


def played(
    *, before: int, polls: int, probes: float, users: float = 0.0, own: Own = NOTHING, pods: int = 1
) -> list[Assessment]:
    """What is said at each poll of a rollout at 25 %, after polls without weight: per pod and five seconds."""
    policy = make_policy(ERRORS, interval_seconds=5, own=own)
    idle, counters, state = Idle(), Counters(), begin(policy, INDEPENDENT)
    canary, stable, said = 0.0, 1000.0, []
    started = 5.0 * before
    for number in range(before + polls):
        weight = 0 if number < before else 25
        canary += probes + (users if weight else 0)
        stable += probes + 300
        polled = poll(5.0 * number, weight, canary, stable, pods=pods)
        idle = idle.plus(polled)
        if not weight:
            continue
        state = with_idle(policy, state, idle)
        counters, sample = counters.advance(polled)
        if sample:
            state = decode(encode(observe(policy, state, sample)))
        step = Step(time=polled.time, started=started, weight_percent=25, next_weight_percent=100)
        said.append(assess(policy, state, step))
    return said


@settings(max_examples=examples(8), deadline=None)
@given(
    probes=st.sampled_from([1.0, 2.0, 4.0, 11.0]),
    own=st.sampled_from([Own(), OWN]),
    pods=st.integers(1, 4),
)
def test_f10_a_canary_that_only_probes_reach_never_advances(probes: float, own: Own, pods: int) -> None:
    """Two requests in five seconds led to a promotion after 885 s. However many there are, and of however many pods."""
    said = played(before=3, polls=300, probes=probes, own=own, pods=pods)
    assert {each.verdict for each in said} <= {Verdict.CONTINUE, Verdict.INCONCLUSIVE}
    assert said[-1].verdict is Verdict.INCONCLUSIVE
    assert not said[-1].may_advance
    assert "probes and scrapes" in said[100].message


def test_f10_what_the_operator_causes_itself_is_known_without_a_poll_before() -> None:
    """Nothing was seen before it had weight: the template's probes and our own readings count for nothing."""
    said = played(before=0, polls=300, probes=2, own=OWN)
    assert Verdict.ADVANCE not in {each.verdict for each in said}
    assert not said[-1].may_advance


def test_f10_users_beyond_the_probes_are_evidence() -> None:
    """As many as are needed anyway, and no more."""
    said = played(before=3, polls=60, probes=2, users=40, own=OWN)
    assert said[-1].verdict is Verdict.ADVANCE
    assert "beyond" in said[2].message


@pytest.mark.parametrize("own", [Own(), OWN])
def test_f10_a_server_that_does_not_count_probes_loses_nothing(own: Own) -> None:
    """It showed none while all of them were asked: every request is a user's, from the first on."""
    with_probes = played(before=5, polls=60, probes=0, users=2, own=own)
    without = played(before=0, polls=60, probes=0, users=2)
    assert [each.message for each in with_probes] == [each.message for each in without]


def rate(idle: Idle, own: Own = NOTHING) -> float:
    """What is known after some polls, where nothing was known before."""
    return idle.rate("errors", own, own.per_second)


def after(*polls: tuple[float, float], ready: float | None = 0.0, weight: float = 0) -> Idle:
    """What is known after polls at these times, with so many cases by then."""
    idle = Idle()
    for time, cases in polls:
        idle = idle.plus(poll(time, weight, cases, 0, ready=ready))
    return idle


@pytest.mark.parametrize("weight", [0, 25])
@pytest.mark.parametrize("late", [-0.002, 0.0, 0.001, 0.09])
def test_f10_no_case_in_a_ready_pod_proves_that_nothing_is_counted(weight: float, late: float) -> None:
    """Once each source has asked, with weight and without; a few milliseconds more or less decide nothing."""
    assert rate(after((0, 0), (5, 0), (10 + late, 0), weight=weight), ALL) == pytest.approx(0.1)
    assert rate(after((0, 0), (5, 0), (10, 0), (15 + late, 0), weight=weight), ALL) == 0
    assert rate(after((0, 0), (5 + late, 0), weight=weight), ALL) == pytest.approx(0.5)


@pytest.mark.parametrize("ready", [None, 100.0])
def test_f10_a_pod_that_is_not_ready_proves_nothing(ready: float | None) -> None:
    """Its page may be open while nobody asks: not yet Ready, or Ready later than the time of the poll."""
    idle = after(*((5.0 * n, 0) for n in range(20)), ready=ready)
    assert rate(idle, ALL) == pytest.approx(0.5)
    assert not idle.fewest


def test_f10_what_was_asked_before_it_was_ready_is_no_rate_of_a_running_pod() -> None:
    """The startup probe asks once a second: seventy requests in seventy seconds, then what is asked of all."""
    idle = after(*((5.0 * n, 5.0 * n) for n in range(15)), ready=None)
    assert rate(idle, ALL) == pytest.approx(0.5)
    for n in range(3):
        idle = idle.plus(poll(75 + 5.0 * n, 0, 75 + 2.0 * n, 0, ready=73))
    assert rate(idle, ALL) == pytest.approx(0.5)


def test_f10_too_few_cases_leave_the_probes_that_can_be_among_them() -> None:
    """A server that counts one probe of three is taken for none that counts none."""
    counts_readiness = after(*((5.0 * n, n) for n in range(13)), weight=25)
    assert 0.2 <= rate(counts_readiness, ALL) <= 0.3
    counts_liveness = after(*((5.0 * n, n // 2) for n in range(13)), weight=25)
    assert rate(counts_liveness, ALL) == pytest.approx(0.1)
    assert rate(after(*((5.0 * n, 2.5 * n) for n in range(13)), weight=25), ALL) == pytest.approx(0.5)


@settings(max_examples=examples(50), deadline=None)
@given(fewest=st.dictionaries(st.integers(0, 60), st.integers(0, 30), max_size=6), more=st.integers(1, 9))
def test_f10_more_cases_never_exclude_more(fewest: Fewest, more: int) -> None:
    """What can be counted rises with what was counted; with nothing seen all of it can be."""
    possible = ALL.possible(fewest)
    assert possible <= ALL.possible({seconds: cases + more for seconds, cases in fewest.items()})
    assert ALL.possible({}) == ALL.per_second


def test_f10_many_sources_are_judged_in_time() -> None:
    """A template with more probes than can be combined: each by itself."""
    many = Own(sources=(READINESS,) * 60)
    assert many.possible({60: 5}) == 0
    assert many.possible({60: 10}) == pytest.approx(12)


def test_f10_what_others_ask_is_seen_without_weight() -> None:
    """Beyond probes and scrapes, from the last two intervals; with weight a pod never shows less than that."""
    idle = after((0, 0), (5, 15), (10, 30))
    assert rate(idle, OWN) == 3.0
    quiet = idle
    for n in range(1, 7):
        quiet = quiet.plus(poll(10 + 5.0 * n, 25, 30 + n, 0))
    assert rate(quiet, OWN) < 0.5


def test_f10_what_a_server_asks_itself_at_its_start_is_forgotten() -> None:
    """Only the last two intervals before it has weight count."""
    assert rate(after((0, 0), (5, 500), (10, 900), (15, 902), (20, 904))) == 0.4


def test_f10_a_restart_is_no_request_and_begins_anew() -> None:
    """Counters of another container: of that interval nothing is known."""
    pods = [
        PodReading(
            pod="c", arm=Arm.CANARY, metrics={"errors": reading(total)}, ready_since=0.0, started=start
        )
        for total, start in ((100, 0.0), (2, 4.0), (4, 4.0))
    ]
    idle = Idle()
    for number, pod in enumerate(pods):
        idle = idle.plus(Poll(time=5.0 * number, weight_percent=0, pods=(pod,)))
    assert rate(idle) == 0.4
    assert idle.fewest == {"errors": {5: 2}}


def test_f10_counters_that_fall_without_a_restart_prove_nothing() -> None:
    """Several workers behind a port: what each scrape shows is not what the pod has counted."""
    idle = after((0, 7), (5, 7), (10, 7), (15, 7), (20, 7))
    assert rate(idle, ALL) == 0
    idle = idle.plus(poll(25, 0, 3, 0))
    assert rate(idle, ALL) == pytest.approx(0.5)


def test_f10_new_pods_bring_no_evidence_from_before_they_were_read() -> None:
    """A canary that grows for its next step has answered probes while it started."""
    policy = make_policy(ERRORS, interval_seconds=5, own=OWN)
    idle = after((0, 0), (5, 2), (10, 4))
    counters, state, number = Counters(), with_idle(policy, begin(policy, INDEPENDENT), idle), count(1)
    for pods, totals in ((1, (6,)), (1, (8,)), (3, (10, 60, 60)), (3, (12, 62, 62))):
        read = tuple(
            PodReading(
                pod=f"c{index}",
                arm=Arm.CANARY,
                metrics={"errors": reading(totals[index])},
                ready_since=0.0,
            )
            for index in range(pods)
        )
        at = 5.0 * next(number) + 10
        stable = PodReading(pod="s", arm=Arm.STABLE, metrics={"errors": reading(100 * at)})
        counters, sample = counters.advance(Poll(time=at, weight_percent=25, pods=(*read, stable)))
        state = observe(policy, state, sample) if sample else state
    assert state.metrics[0].step.canary > 100
    assert state.metrics[0].users_cases(state.pod_seconds) == 0
    assert next_step(state).metrics[0].fresh == next_step(state).pod_seconds == 0


def test_f10_what_a_pod_counts_until_it_is_ready_is_of_no_user() -> None:
    """A pod of the canary that is replaced in mid-step: its startup probe asks once a second, its page is open."""
    policy = make_policy(ERRORS, interval_seconds=5, own=OWN)
    counters, state = Counters(), with_idle(policy, begin(policy, INDEPENDENT), Idle())
    for number in range(13):
        polled = poll(5.0 * number, 25, 5.0 * number, 300.0 * number, ready=58.0 if number == 12 else None)
        counters, sample = counters.advance(polled)
        state = observe(policy, state, sample) if sample else state
    assert state.metrics[0].step.canary == 60
    assert state.metrics[0].fresh == 60
    assert state.metrics[0].users_cases(0) == 0


def test_f10_values_of_a_gauge_are_no_requests_where_there_are_counters() -> None:
    """They come with each poll. Where nothing is counted they are all there is, and go on as before."""
    gauge = MetricPolicy(name="memory", kind=MetricKind.GAUGE)
    for metrics, advances in (((ERRORS, gauge), False), ((gauge,), True)):
        policy = make_policy(*metrics, interval_seconds=5, own=OWN, step_max_seconds=100)
        state = with_idle(policy, begin(policy, INDEPENDENT), Idle())
        for number in range(1, 30):
            cases = {"errors": ratio((0, 2), (0, 300))} if ERRORS in metrics else {}
            sample = make_sample(5.0 * number, 25, memory=gauge_values(1.0, 1.0), **cases)
            state = observe(policy, state, sample)
        step = Step(time=145, started=0, weight_percent=25, next_weight_percent=50)
        said = assess(policy, state, step)
        assert (said.verdict is Verdict.ADVANCE or said.may_advance) is advances


def test_f10_latency_alone_is_no_evidence_either() -> None:
    """Probes that are fast say nothing of a model that is slow."""
    policy = Policy(metrics=(MetricPolicy(name="took", kind=MetricKind.LATENCY),), interval_seconds=5)
    idle, counters, state = Idle(), Counters(), begin(policy, INDEPENDENT)
    said = []
    for number in range(200):
        weight = 0 if number < 3 else 25
        pods = tuple(
            PodReading(
                pod=arm.value,
                arm=arm,
                metrics={"took": HistogramReading(buckets={0.1: n, 1.0: n, float("inf"): n})},
                ready_since=-100.0,
            )
            for arm, n in ((Arm.CANARY, 2.0 * number), (Arm.STABLE, 300.0 * number))
        )
        polled = Poll(time=5.0 * number, weight_percent=weight, pods=pods)
        idle = idle.plus(polled)
        if weight:
            state = with_idle(policy, state, idle)
            counters, sample = counters.advance(polled)
            state = observe(policy, state, sample) if sample else state
            step = Step(time=polled.time, started=15, weight_percent=25, next_weight_percent=50)
            said.append(assess(policy, state, step))
    assert Verdict.ADVANCE not in {each.verdict for each in said}
    assert not said[-1].may_advance


def test_f10_old_memories_without_it_are_read() -> None:
    """Nothing was taken for probes then: from now on as much is as they may be."""
    policy = make_policy(ERRORS, own=ALL)
    *packed, _own, _seconds, metrics = json.loads(encode(begin(policy, INDEPENDENT)))
    packed.append(metrics)
    assert len(packed[-1][0]) < 21
    read = decode(json.dumps(packed))
    assert (read.own, read.pod_seconds, read.metrics[0].own_rate) == (0, 0, 0)
    assert with_idle(policy, read, Idle()).metrics[0].own_rate == 0.5


@pytest.mark.parametrize("learned", [0.0, 0.1, 0.5, 3.0])
def test_f10_what_was_learned_outlives_the_process(learned: float) -> None:
    """Whoever leads next has seen nothing yet: less than may be asked, none of it, or more."""
    policy = make_policy(ERRORS, own=ALL)
    state = with_idle(policy, begin(policy, INDEPENDENT), Idle())
    state = replace(state, metrics=(replace(state.metrics[0], own_rate=learned),))
    afresh = recalled(begin(policy, INDEPENDENT), decode(encode(state)))
    assert with_idle(policy, afresh, Idle()).metrics[0].own_rate == learned
    longer = replace(policy, own=OWN)
    assert with_idle(longer, afresh, Idle()).metrics[0].own_rate == (max(0.4, learned) if learned else 0)


def test_f10_what_a_flawed_metric_has_proved_is_forgotten() -> None:
    """It showed what no counter can: that it counted nothing says nothing either."""
    policy = make_policy(ERRORS, interval_seconds=5, own=ALL)
    state = with_idle(policy, begin(policy, INDEPENDENT), after(*((5.0 * n, 0) for n in range(5))))
    assert state.metrics[0].own_rate == 0
    state = observe(policy, state, make_sample(30, 25, errors=ratio((0, 2), (0, 300))))
    flawed = replace(make_sample(35, 25), flaws={"errors": Flaw.JUMPS})
    assert observe(policy, state, flawed).metrics[0].own_rate == 0.5


# --- drawn orders -------------------------------------------------------------------------------------------

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def _drawn(random: Generator) -> Canary:
    """A canary that nobody uses: pages, readiness, probes and weight begin in any order, and pods are replaced."""
    counted = [name for name in (*PROBES, "scrape") if random.random() < 0.6] or ["readinessProbe"]
    loads = float(random.choice([0, 2, 7, 40]))
    lives = []
    for number in range(random.integers(1, 4)):
        ends = float(random.choice([40, 150, 1e9]))
        for index, starts in enumerate((0.0, ends)):
            ready = starts + loads + float(random.uniform(0, 3))
            page = starts + float(random.uniform(0, 1.3)) * loads
            lives.append(
                Life(
                    name=f"c{number}-{index}",
                    starts=starts,
                    page=page,
                    ready=ready,
                    ends=ends if not index else 1e9,
                )
            )
    periods = {name: int(random.choice([3, 5, 10, 20])) for name in PROBES[1:]}
    return Canary(
        lives=[life for life in lives if life.starts < 500],
        template=probed(startupProbe=1, **periods),
        counted=frozenset(counted),
        weight_at=min(life.ready for life in lives) + float(random.choice([0, 1, 4, 12, 30])),
        interval=float(random.choice([2, 5, 5, 15])),
        seconds=500,
        step_max_seconds=float(random.choice([30, 90, 300])),
        restarts=[float(random.uniform(0, 500))] if random.random() < 0.5 else [],
    )


@pytest.mark.parametrize("seed", range(30))
def test_f10_probes_and_scrapes_alone_never_advance_a_canary(seed: int) -> None:
    """Whatever of them a server counts, and in whatever order all begins."""
    random = default_rng(seed)
    canary = _drawn(random)
    for time, said, state in canary_played(canary, random):
        assert said.verdict is not Verdict.ADVANCE, (time, said.message)
        assert not said.may_advance, (time, state.metrics[0])


@pytest.mark.parametrize("seed", range(6))
def test_f10_a_canary_with_few_users_advances_where_probes_are_not_counted(seed: int) -> None:
    """0.45 requests a second, and 0.5 of probes and scrapes that its server leaves out; Ready and weighted at once."""
    random = default_rng(seed)
    canary = Canary(
        lives=[Life(name=f"c{number}", ready=3) for number in range(1 + seed % 2)],
        template=probed(startupProbe=1, readinessProbe=5, livenessProbe=10),
        counted=frozenset(),
        weight_at=3 + float(random.choice([0, 0, 9.998, 10.001])),
        users_per_second=0.45,
        seconds=1300,
        restarts=[] if seed % 3 else [100.0],
    )
    assert any(said.verdict is Verdict.ADVANCE for _, said, _ in canary_played(canary, random))


def template(*containers: dict[str, Any]) -> dict[str, Any]:
    """A pod template."""
    return {"spec": {"containers": list(containers)}}


@pytest.mark.parametrize(
    ("made", "per_second", "longest"),
    [
        pytest.param({}, 0.2, 5.5, id="nothing but the reading of the page"),
        pytest.param(
            template(
                {
                    "startupProbe": {"httpGet": {}, "periodSeconds": 1},
                    "readinessProbe": {"httpGet": {}, "periodSeconds": 5},
                    "livenessProbe": {"httpGet": {}},
                }
            ),
            0.5,
            11.5,
            id="both probes, the startup probe not, Kubernetes' default period",
        ),
        pytest.param(
            template(
                {"readinessProbe": {"grpc": {}, "periodSeconds": 4}}, {"livenessProbe": {"tcpSocket": {}}}
            ),
            0.45,
            5.5,
            id="gRPC is a request, a connection is none",
        ),
        pytest.param(
            template({"readinessProbe": {"exec": {}, "initialDelaySeconds": 20, "timeoutSeconds": 3}}),
            0.3,
            33.5,
            id="a command may send one; it begins late, and its answer may take a while",
        ),
    ],
)
def test_f10_what_a_template_asks(made: dict[str, Any], per_second: float, longest: float) -> None:
    """By the periods of its probes, with a reading every five seconds."""
    own = own_requests(made, 5)
    assert own.per_second == pytest.approx(per_second)
    assert own.longest_seconds == longest


def test_f10_a_metric_source_shows_what_was_counted_a_while_ago() -> None:
    """It may read pages more often than it is asked, and what it knows may be old."""
    own = own_requests({}, 15, "prom")
    assert own.per_second == pytest.approx(0.2)
    assert own.longest_seconds == 80.5
