"""What the benchmark of canaries makes of what it has seen."""

import pytest

from bench.canaries.predicted import Circumstances, errors, latency
from bench.canaries.rollout import Outcome
from bench.canaries.scenarios import FAILED, FIRST_TO_WEIGHT_0, SCENARIOS
from bench.canaries.sight import EVERYBODY, Sight, Way
from bench.canaries.summary import figures_of, typical_noise

LOAD = Circumstances(rps=60, weight_percent=10, interval=5)


def test_weight_is_gone_when_a_route_takes_it_away() -> None:
    """The moment counts at which a revision that had weight has lost it for good."""
    sight = Sight()
    sight.shares[Way.ROUTE, "fraud"] += [
        (1.0, {"a": 100}),
        (2.0, {"a": 90, "b": 10}),
        (3.0, {"a": 100, "b": 0}),
        (4.0, {"a": 90, "b": 10}),
    ]
    assert sight.weightless(Way.ROUTE, "fraud", "b", 0.0) is None, "it has weight again"
    sight.shares[Way.ROUTE, "fraud"] += [(5.0, {"a": 100, "b": 0}), (6.0, {"a": 100})]
    assert sight.weightless(Way.ROUTE, "fraud", "b", 0.0) == 5.0
    assert sight.weightless(Way.ROUTE, "fraud", "b", 5.5) is None, "before that moment it happened already"
    assert sight.weightless(Way.SERVICE, "fraud", "b", 0.0) is None


def test_a_service_that_selects_all_pods_gives_each_revision_a_share() -> None:
    """Without a router the canary has weight while the Service selects everybody."""
    sight = Sight()
    sight.shares[Way.SERVICE, "fraud"] += [(1.0, {"a": 100}), (2.0, {EVERYBODY: 100})]
    assert sight.share(Way.SERVICE, "fraud", "b") == 100
    sight.shares[Way.SERVICE, "fraud"].append((5.0, {"a": 100}))
    assert sight.weightless(Way.SERVICE, "fraud", "b", 0.0) == 5.0


def test_figures_show_the_median_beside_the_simulation_and_what_ended_otherwise() -> None:
    """A run that missed its verdict counts as one that did not end as wanted, and adds no time."""
    outcomes = [
        Outcome(
            ended="RolledBack",
            times={FIRST_TO_WEIGHT_0: seconds},
            counts={FAILED: 3},
            noise={"errors": (phi,)},
        )
        for seconds, phi in ((10.0, 1.0), (20.0, 2.0), (60.0, 2.0))
    ]
    missed = Outcome(ended="missed", counts={FAILED: 90})
    scenario = SCENARIOS["errors"]
    assert scenario.prediction
    prediction = scenario.prediction(LOAD, typical_noise("errors", outcomes))
    figures = {figure.key: figure for figure in figures_of(scenario, [*outcomes, missed], prediction)}
    assert (figures["other_ends"].value, figures["other_ends"].note) == (1, "1 missed")
    assert figures["canary_s_first_answer_to_weight_0_median"].value == 20.0
    assert figures["canary_s_first_answer_to_weight_0_worst"].value == 60.0
    assert "phi 2" in figures["canary_s_first_answer_to_weight_0_median"].note
    assert figures["failed_requests_worst"].value == 90


def test_predictions_are_slower_with_noise_and_with_less_load() -> None:
    """More noise or fewer requests: the verdict comes later, and never before a pod's latency counts."""
    plain = errors(LOAD, (1.0,), 0.001, 0.05)
    assert plain.seconds.median < errors(LOAD, (2.0,), 0.001, 0.05).seconds.median
    thin = Circumstances(rps=20, weight_percent=10, interval=5)
    assert plain.seconds.median < errors(thin, (1.0,), 0.001, 0.05).seconds.median
    assert latency(LOAD, (1.0, 1.0, 1.0), 2.0).seconds.median > 60


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_knows_what_it_predicts(name: str) -> None:
    """A prediction names the metric whose noise it is given, and the figure that it is about."""
    scenario = SCENARIOS[name]
    assert bool(scenario.prediction) == bool(scenario.metric) == bool(scenario.predicts)
    assert 0 < scenario.part <= 1
