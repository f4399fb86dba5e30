"""How traffic leaves a canary, and what stays for how long: F01, writes that are not taken; F03, Gateways that lag."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from builders import before
from builders.rollouts import GATEWAY, ROUTE_REF, A, B, C, own_route, phase_of, rolling, weight_of
from modelward.analysis.counters import Increment, RatioCounts, Sample
from modelward.analysis.noise import Reference
from modelward.analysis.sampled_evidence import Evidence
from modelward.api.times import format_micro
from modelward.rollout.decide import decide
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase
from modelward.rollout.rollback import LEAVING_SECONDS, UNWRITTEN_SECONDS
from modelward.rollout.traffic import DRAIN_SECONDS, split
from unit.rollout.events import ERRORS

LAG: Final = 30.0
"""The default of the setting `gateway.lagSeconds`."""
HAD: Final = {"withdrawn_weight_percent": 25}


def leaving(began: float, **words: Any) -> Observed:
    """A canary that had 25 % and began to leave so many seconds ago; its route was written a moment later."""
    observed = rolling(Phase.ROLLING_BACK, began=began, rollout_status=HAD, analysis=ERRORS, **words)
    route = observed.route and replace(observed.route, written=before(began - 0.5))
    return replace(observed, route=route)


def is_gone(observed: Observed) -> bool:
    """Whether the canary is given up."""
    return decide(observed).status.canary_revision == ""


def counted(observed: Observed, *samples: tuple[float, float], weight: int = 0) -> Observed:
    """So many requests of canary and stable in each of the last intervals of five seconds."""
    made = tuple(
        Sample(
            time=observed.now.timestamp() - 5 * (len(samples) - 1 - number),
            weight_percent=weight,
            metrics={"errors": Increment(canary=RatioCounts(total=canary), stable=RatioCounts(total=stable))},
        )
        for number, (canary, stable) in enumerate(samples)
    )
    return replace(observed, evidence=Evidence(samples=made, reference=Reference()))


# --- F01 ----------------------------------------------------------------------------------------------------


def selecting(observed: Observed, revision: str | None) -> Observed:
    """The same with a Service that selects a revision, or all."""
    assert observed.service is not None
    return replace(observed, service=replace(observed.service, selects=revision))


def test_f01_without_a_router_the_service_is_switched_before_any_pod_ends() -> None:
    """At once when it is; after five seconds in any case: then only stable's pods are left for it to select."""
    for began, selects, gone in (
        (0.1, A, True),
        (UNWRITTEN_SECONDS - 1, None, False),
        (UNWRITTEN_SECONDS, None, True),
    ):
        assert is_gone(selecting(leaving(began), selects)) is gone


@pytest.mark.parametrize("traffic", [None, GATEWAY, ROUTE_REF], ids=["no router", "own", "users"])
def test_f01_a_revision_that_the_service_names_stays(traffic: dict[str, Any] | None) -> None:
    """It was promoted, and could not be switched back from: without its pods nobody would answer."""
    observed = selecting(leaving(600, traffic=traffic), B)
    assert not is_gone(observed)
    assert is_gone(selecting(observed, A))


@pytest.mark.parametrize("began", [UNWRITTEN_SECONDS - 1, UNWRITTEN_SECONDS])
def test_f01_a_route_that_cannot_be_written(began: float) -> None:
    """Its pods go after five seconds."""
    observed = replace(leaving(began, traffic=GATEWAY), route=own_route({A: 75, B: 25}))
    assert is_gone(observed) is (began == UNWRITTEN_SECONDS)


def test_f01_what_still_leads_to_a_canary_on_its_way_out_leads_to_stable() -> None:
    """Once it has no weight: a route that cannot be written sends to stable's pods then."""
    aborted = rolling(Phase.ANALYZING, commands={"abort": B}, traffic=GATEWAY)
    assert split(decide(aborted).status).leaves
    assert not split(aborted.model.status).leaves
    kept = rolling(Phase.ROLLING_BACK, weight=25, ready={A: 0}, traffic=GATEWAY)
    assert weight_of(decide(kept)) == 25
    assert not split(decide(kept).status).leaves


def test_f01_a_change_waits_while_the_service_is_open_to_all_pods() -> None:
    """The new revision would get requests before it has any weight; unless nobody answers any more."""
    observed = selecting(rolling(Phase.SERVING, "2"), None)
    decision = decide(observed)
    assert decision.status.canary_revision == ""
    assert decision.waiting == f"waits until Service fraud selects {A} alone"
    assert decide(selecting(observed, A)).status.canary_revision == B


@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.WATCHING])
def test_f01_a_previous_revision_that_the_service_still_names_stays(phase: Phase) -> None:
    """Its switch was refused."""
    observed = selecting(rolling(phase, began=5000), A)
    assert decide(observed).status.previous_revision == A
    assert decide(selecting(observed, B)).status.previous_revision == ""


# --- F03: what lost its weight ------------------------------------------------------------------------------


@pytest.mark.parametrize("traffic", [GATEWAY, ROUTE_REF], ids=["own", "users"])
@pytest.mark.parametrize(
    ("began", "gone"),
    [pytest.param(29, False, id="a Gateway may lag"), pytest.param(32, True, id="it had its time")],
)
def test_f03_what_had_weight_stays_while_a_gateway_may_lag(
    traffic: dict[str, Any], began: float, *, gone: bool
) -> None:
    """The Gateway has long reported the route, and still sends by the weights of before."""
    assert is_gone(leaving(began, traffic=traffic)) is gone


def test_f03_what_never_had_weight_goes_at_once() -> None:
    """No Gateway can be sending to it."""
    assert is_gone(rolling(Phase.ROLLING_BACK, began=0.1, traffic=GATEWAY))
    assert (
        phase_of(decide(rolling(Phase.SCALING_UP, commands={"abort": B}, traffic=GATEWAY))) is Phase.SERVING
    )


def test_f03_pods_that_were_lost_had_weight() -> None:
    """Weight was taken from the canary before it was aborted; its pods may be ready again, and asked."""
    lost = decide(rolling(Phase.ANALYZING, ready={B: 0}, traffic=GATEWAY)).status.rollout
    assert lost is not None
    assert (lost.weight_percent, lost.withdrawn_weight_percent) == (0, 25)


@pytest.mark.parametrize(
    ("samples", "gone"),
    [
        pytest.param([(20, 60), (0, 80)], True, id="quiet, and it would not be by chance"),
        pytest.param([(20, 60), (0, 20)], False, id="quiet, which may be chance"),
        pytest.param([(0, 20), (0, 20), (0, 20)], True, id="quiet for longer"),
        pytest.param([(0, 80), (1, 80)], False, id="still asked"),
        pytest.param([], False, id="nothing is counted"),
    ],
)
def test_f03_its_own_counters_show_when_nobody_asks_it_any_more(
    samples: list[tuple[float, float]], *, gone: bool
) -> None:
    """Then it need not stay for longer."""
    assert is_gone(counted(leaving(8, traffic=GATEWAY), *samples)) is gone


def test_f03_samples_from_before_the_weight_was_taken_prove_nothing() -> None:
    """No request came to it although it had weight: it had not begun."""
    observed = leaving(8, traffic=GATEWAY)
    assert not is_gone(counted(observed, (0, 500), weight=25))


@pytest.mark.parametrize("began", [LEAVING_SECONDS - 1, LEAVING_SECONDS + 1])
def test_f03_a_gateway_that_does_not_report_is_waited_for(began: float) -> None:
    """Quiet counters alone do not do, for as long as the Gateway may not have seen the route."""
    observed = leaving(began, traffic=GATEWAY)
    assert observed.route is not None
    deaf = replace(observed, route=replace(observed.route, observed_generation=2))
    assert is_gone(counted(deaf, (0, 80))) is (began > LEAVING_SECONDS)


def test_f03_a_fight_about_the_route_keeps_it_no_longer() -> None:
    """Each write would begin the time anew."""
    observed = leaving(LAG + UNWRITTEN_SECONDS, traffic=GATEWAY)
    assert observed.route is not None
    assert is_gone(replace(observed, route=replace(observed.route, written=before(1))))


def test_f03_it_does_not_stay_for_nobody() -> None:
    """No pod of either revision is ready: what comes next is the way out."""
    assert is_gone(leaving(1, traffic=GATEWAY, ready={A: 0, B: 0}))


@pytest.mark.parametrize("lag", [0, 5, 60])
def test_f03_the_time_is_a_setting(lag: float) -> None:
    """`gateway.lagSeconds`."""
    for began, gone in (
        (lag + 0.1, False),
        (lag + 2, True),
    ):  # a write's time is reported without its fraction
        assert is_gone(replace(leaving(began, traffic=GATEWAY), lag_seconds=lag)) is (gone or lag == 0)


@pytest.mark.parametrize(
    ("traffic", "seconds"),
    [
        pytest.param(GATEWAY, LAG, id="a Gateway"),
        pytest.param(ROUTE_REF, LAG, id="a route of the user's"),
        pytest.param(None, DRAIN_SECONDS, id="no router"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.DRAINING, Phase.WATCHING])
def test_f03_a_previous_revision_stays_as_long(
    phase: Phase, traffic: dict[str, Any] | None, seconds: float
) -> None:
    """Whatever `keepPreviousSeconds` says, and whether or not spec asks for something else meanwhile."""
    policy: dict[str, Any] = {"rollout": {"keepPreviousSeconds": 0}, "traffic": traffic}
    for version in "23":
        early, late = (rolling(phase, version, began=began, **policy) for began in (seconds - 1, seconds + 1))
        assert decide(early).status.previous_revision == A
        assert decide(early).status.canary_revision == ""
        assert decide(late).status.previous_revision == ""
        assert decide(late).status.canary_revision == ("" if version == "2" else C)


def test_f03_going_back_to_the_previous_revision_waits_for_nothing() -> None:
    """Its pods stay."""
    assert decide(rolling(Phase.DRAINING, "1", began=1, traffic=GATEWAY)).status.canary_revision == A


# --- F03: the clock of a step -------------------------------------------------------------------------------


def beginning(step: int = 0, weight: int = 5, written: float = 5) -> Observed:
    """A step whose weights the Gateway has taken; its clock does not run yet."""
    observed = rolling(
        Phase.ANALYZING, step=step, weight=weight, began=None, traffic=GATEWAY, analysis=ERRORS
    )
    assert observed.route is not None
    return replace(observed, route=replace(observed.route, written=before(written)))


def started(observed: Observed) -> str | None:
    """When the step's clock started."""
    rollout = decide(observed).status.rollout
    assert rollout is not None
    assert (rollout.actual_weight_percent is None) is (rollout.step_start_time is None)
    return rollout.step_start_time


def test_f03_a_step_begins_with_the_first_request_of_the_canary() -> None:
    """Not with the Gateway's word; at the time of the sample that shows it."""
    assert started(counted(beginning(), (0, 300), (0, 300), weight=5)) is None
    assert started(counted(beginning(), (0, 300), (1, 300), (15, 285), weight=5)) == format_micro(before(5))


def test_f03_a_later_step_begins_when_its_share_comes() -> None:
    """25 % after 5 %: a share that is nearer to its own weight than to that of the step before."""
    step = beginning(step=1, weight=25)
    assert started(counted(step, (15, 285), (40, 260), weight=25)) is None
    assert started(counted(step, (15, 285), (60, 240), weight=25)) is not None
    assert started(counted(step, (60, 240), weight=5)) is None, "a sample of the step before"


def test_f03_a_step_does_not_wait_for_longer_than_a_gateway_may_lag() -> None:
    """Nobody asks the model at all, or a router of the user's gives the canary less than its weight."""
    assert started(counted(beginning(written=LAG - 1), (0, 0), weight=5)) is None
    late = counted(beginning(written=LAG + 1), (0, 0), weight=5)
    assert started(late) == format_micro(late.now)


def test_f03_where_nothing_is_counted_the_gateways_word_is_all_there_is() -> None:
    """The clock starts with it."""
    assert started(beginning()) is not None


def test_f03_an_actual_share_that_is_known_stays_known() -> None:
    """Between two samples nothing is seen, and nothing has changed."""
    running = rolling(Phase.ANALYZING, traffic=GATEWAY, analysis=ERRORS)
    later = replace(counted(running), now=running.now + timedelta(seconds=3))
    rollout = decide(later).status.rollout
    assert rollout is not None
    assert rollout.actual_weight_percent == 25
