"""What is not known is no success: canaries without requests, with metrics that nobody can use, beside a sick stable.

All of them go out at once, beside one about which everything is known. When that one is promoted, the others have
had as much time, and none of them has got any further.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from devcluster import Cluster
from support.kubectl import Kubectl
from support.models import condition, status, wait_ready
from support.served import (
    PATIENCE_SECONDS,
    Trickle,
    address,
    pods_of,
    rollout_of,
    runtime,
    served,
    set_faults,
    wait_answering,
    wait_result,
    wait_state,
)
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

FIRST_PERCENT: Final = 50
ROLLOUT: Final = {
    "steps": [{"weightPercent": FIRST_PERCENT}],
    "stepMinSeconds": 4,
    "stepMaxSeconds": 900,
    "keepPreviousSeconds": 0,
}
SELDOM_SECONDS: Final = 0.05
"""Between two requests while nothing is decided by their number."""
KNOWN: Final = "known"
IDLE: Final = "idle"
SICK: Final = "sick"
FALLING: Final = "falling"
PAGES: Final = {"nan": "no number", "hanging": "no whole answer", "flooding": "larger than"}
"""What is wrong with the canary's metrics, and words of the message that says so."""
ALL: Final = (KNOWN, IDLE, SICK, FALLING, *PAGES)


def model(name: str, version: str) -> dict[str, Any]:
    """One pod of each version; the second has the fault that the model is named after."""
    faults = {"metrics_page": name} if name in (FALLING, *PAGES) and version == "2" else {}
    return served(name, version, ROLLOUT, faults=faults, analysis={"intervalSeconds": 2})


@dataclass(frozen=True, slots=True)
class Held:
    """The canaries, once the one about which everything is known is promoted."""

    kubectl: Kubectl
    canaries: dict[str, str]
    """Revision by model."""

    def pods(self, name: str) -> dict[str, str]:
        """The canary's."""
        return pods_of(self.kubectl, name, self.canaries[name])


@pytest.fixture(scope="module")
def held(node: Cluster, kubectl: Kubectl, operator: object) -> Iterator[Held]:
    """All of them under way, with requests to all but one, until the tests are over."""
    kubectl.apply(runtime(signals=True))
    kubectl.apply(*(model(name, "1") for name in ALL))
    for name in ALL:
        wait_ready(kubectl, name)
    urls = [address(kubectl, name) for name in ALL if name != IDLE]
    for url in urls:
        wait_answering(url, "1")
    with Trickle(urls) as trickle:
        until(lambda: min(trickle.answered[url] for url in urls) >= 150, "stable has some history")
    with Trickle(urls, pause=SELDOM_SECONDS):
        kubectl.apply(*(model(name, "2") for name in ALL))
        canaries = {name: _canary(kubectl, name) for name in ALL}
        until(
            lambda: rollout_of(kubectl, SICK).get("weightPercent") == FIRST_PERCENT,
            "stable and canary both get requests",
            seconds=PATIENCE_SECONDS,
        )
        stable = status(kubectl, SICK)["stableRevision"]
        for revision in (stable, canaries[SICK]):
            set_faults(pods_of(kubectl, SICK, revision), error_rate=0.5)
        with Trickle([address(kubectl, KNOWN)]):  # it needs some hundred requests
            wait_result(kubectl, KNOWN, "Promoted")
        yield Held(kubectl, canaries)


def _canary(kubectl: Kubectl, name: str) -> str:
    def found() -> str:
        return str(status(kubectl, name).get("canaryRevision") or "")

    return until(found, f"{name} has a canary")


def still_held(held: Held, name: str) -> dict[str, Any]:
    """The canary is where it was, neither promoted nor rolled back; the status."""
    now = status(held.kubectl, name)
    assert now["canaryRevision"] == held.canaries[name]
    assert now["rollout"]["weightPercent"] == FIRST_PERCENT
    assert len(now["history"]) == 1, "nothing has ended since the first deployment"
    assert condition(held.kubectl, name, "Available")["status"] == "True"
    return now


def test_canary_without_requests_waits_and_says_for_what(held: Held) -> None:
    """It would be promoted by a number of requests without an error, and says which."""
    now = still_held(held, IDLE)
    assert "no canary request in this step yet" in now["analysis"]["message"]
    assert "promotion needs about" in now["analysis"]["message"]
    assert "without an error" in condition(held.kubectl, IDLE)["message"]


def test_stable_that_fails_as_well_is_no_verdict(held: Held) -> None:
    """Half of all requests fail in both: the canary is not the cause, and is not promoted either."""
    kubectl = held.kubectl

    def reported() -> bool:
        return "canary is not the cause" in status(kubectl, SICK).get("analysis", {}).get("message", "")

    until(reported, f"it says so; it says {status(kubectl, SICK).get('analysis')}", seconds=PATIENCE_SECONDS)
    assert "stable is failing too" in still_held(held, SICK)["analysis"]["message"]


@pytest.mark.parametrize(("name", "words"), PAGES.items(), ids=PAGES)
def test_metrics_that_nobody_can_use_are_no_success(held: Held, name: str, words: str) -> None:
    """The canary waits and says why."""
    wait_state(held.kubectl, name, "MetricsUnavailable", FIRST_PERCENT)
    still_held(held, name)
    ready = condition(held.kubectl, name)
    print(ready["message"])
    assert ready["reason"] == "MetricsUnavailable"
    assert words in ready["message"]


def test_counters_that_fall_are_no_requests(held: Held) -> None:
    """A page that shows a million good requests, and fewer each time, proves nothing."""
    assert "nothing to compare yet" in still_held(held, FALLING)["analysis"]["message"]


@pytest.mark.integrations
def test_canary_goes_on_once_its_metrics_are_back(held: Held) -> None:
    """Nothing but the metrics was wrong: with them it is promoted."""
    repaired = (FALLING, *PAGES)
    for name in repaired:
        set_faults(held.pods(name))
    with Trickle([address(held.kubectl, name) for name in repaired]):
        for name in repaired:
            wait_result(held.kubectl, name, "Promoted")
