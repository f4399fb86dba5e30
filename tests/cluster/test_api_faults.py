"""An API server that refuses, is slow, breaks off or is away does no harm: a seeded sample of `python -m faults.disturb`.

Pods are kwok's.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from devcluster import Cluster
from faults.api_faults import OneRequest
from faults.crowd import Crowd, OfOne
from faults.disturb import (
    QUICK,
    absence,
    all_struck,
    drawn,
    missed,
    outcomes,
    reported,
    request_strikes,
    undisturbed,
)
from faults.plan import PASS, Fault, Plan, Request, Reset
from faults.watch_faults import refusal
from faults.workloads import BY_NAME
from support.kubectl import Kubectl
from support.models import UNSEEN, condition, fake_model, status, wait_ready
from support.waiting import until

pytestmark = pytest.mark.slow

SEED: Final = 20_261_122
FLAGS: Final = ("--no-leader-election", "--resync-seconds=2")
SAMPLE: Final = 20
AWAY_SECONDS: Final = 6.0
LONGEST_PAUSE_SECONDS: Final = 30.0


@pytest.fixture(scope="module")
def crowd(cluster: Cluster, credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """One operator behind the fault proxy."""
    with Crowd(cluster, credentials, tmp_path_factory.mktemp("crowd"), *FLAGS) as found:
        yield found


@pytest.mark.integrations
def test_requests_that_are_refused_or_broken_off(crowd: Crowd) -> None:
    """Each rollout ends as without a fault, and nothing that must hold is broken on the way.

    Those that take 31 s are left to the whole enumeration.
    """
    usual = undisturbed(crowd, QUICK, lambda: OneRequest(0, PASS))
    quick = [each for each in request_strikes(usual) if "slow" not in each[1]]
    trials = all_struck(crowd, drawn(quick, SAMPLE, SEED), outcomes(usual))
    assert missed(trials) == []
    assert [reported(each) for each in trials if each.problems] == []
    assert crowd.operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0


class LostAnswer(OfOne):
    """A change of an object of some kind is stored, and the answer never comes."""

    def __init__(self, resource: str, number: int) -> None:
        """Its changes are counted from 1."""
        self.resource, self.left = resource, number

    def of_request(self, request: Request, number: int) -> Fault:
        """Strike when its number has come."""
        del number
        if (request.method, request.place.resource) != ("PATCH", self.resource):
            return PASS
        self.left -= 1
        if self.left:
            return PASS
        self.struck = str(request)
        return Reset(stored=True)


def test_a_change_whose_answer_is_lost_is_not_made_again(crowd: Crowd) -> None:
    """What the watch shows then is the operator's own doing, and nobody's edit to be corrected."""
    changes = [("services", 1), ("services", 2), ("poddisruptionbudgets", 1), ("deployments", 1)]
    trials = crowd.run(
        [(BY_NAME["good canary"], f"{each}: answer lost", LostAnswer(*each)) for each in changes]
    )
    assert all(each.plan.struck for each in trials)
    assert [reported(each) for each in trials if each.problems] == []


def test_an_api_server_that_is_away_in_mid_canary(crowd: Crowd) -> None:
    """The same process goes on where it was; it does not ask all the time meanwhile."""
    process = crowd.operator.pid
    trials, tried = absence(crowd, AWAY_SECONDS)
    assert missed(trials) == []
    assert [reported(each) for each in trials if each.problems] == []
    assert 0 < tried < 50 * AWAY_SECONDS
    assert crowd.operator.pid == process


@dataclass(slots=True)
class Forbidden(Plan):
    """One verb on one resource is forbidden, in the API server's own words."""

    method: str
    resource: str
    subresource: str = ""
    times: list[float] = field(default_factory=list)
    """When it was tried."""

    def request(self, request: Request) -> Fault:
        """403, if it is the one."""
        place = request.place
        if (request.method, place.resource, place.subresource) != (
            self.method,
            self.resource,
            self.subresource,
        ):
            return PASS
        self.times.append(time.monotonic())
        verb = {"POST": "create", "PATCH": "patch"}[request.method]
        what = "/".join(part for part in (self.resource, self.subresource) if part)
        user = "system:serviceaccount:modelward-system:modelward"
        return refusal(
            403, "Forbidden", f'{what} is forbidden: User "{user}" cannot {verb} resource "{what}"'
        )


@pytest.mark.parametrize("resource", ["deployments", "services"])
def test_a_right_that_is_missing_is_named_in_status(crowd: Crowd, cluster: Cluster, resource: str) -> None:
    """With what to do about it; it is tried again at a pace, and recovers by itself."""
    kubectl, plan = Kubectl(cluster, crowd.namespace), Forbidden("POST", resource)
    name = f"no-{resource}"
    crowd.proxy.reset(plan)
    kubectl.apply(fake_model(name))
    until(lambda: condition(kubectl, name).get("reason") == "Refused", "it says that it is refused")
    said = condition(kubectl, name)["message"]
    assert f'cannot create resource "{resource}"' in said
    assert "a right of the operator is missing: apply the roles" in said
    crowd.proxy.reset()
    wait_ready(kubectl, name)
    assert condition(kubectl, name, "Stalled") == {}


def test_a_right_to_write_status_that_is_missing_is_named_in_the_log(crowd: Crowd, cluster: Cluster) -> None:
    """There is no other place; nothing is done that was not decided, and a pause is no longer than 30 s."""
    kubectl, plan = Kubectl(cluster, crowd.namespace), Forbidden("PATCH", "modeldeployments", "status")
    crowd.proxy.reset(plan)
    kubectl.apply(fake_model("no-status"))
    until(lambda: len(plan.times) >= 5, "it is tried again")
    assert re.search(
        r'no-status: the API server refused.* cannot patch resource "modeldeployments/status"',
        crowd.operator.text(),
    )
    assert kubectl.all("deploy", "modelward.dev/model=no-status") == []
    assert status(kubectl, "no-status") == UNSEEN
    crowd.proxy.reset()
    wait_ready(kubectl, "no-status")
    assert max(later - sooner for sooner, later in zip(plan.times, plan.times[1:], strict=False)) < (
        LONGEST_PAUSE_SECONDS
    )
