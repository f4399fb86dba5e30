"""What the API server does not take is shown, keeps nothing else from being done, and recovers by itself."""

from typing import Any

import pytest

from support.kubectl import Kubectl
from support.models import (
    children,
    condition,
    fake_model,
    selected_revision,
    wait_quiet,
    wait_ready,
    wait_reason,
)
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

QUOTA = "nothing-more"


def forbid(kubectl: Kubectl, resource: str) -> None:
    """From now on nobody makes another object of that kind in the namespace."""
    kubectl("create", "quota", QUOTA, f"--hard=count/{resource}=0")
    until(
        lambda: (kubectl.get("quota", QUOTA) or {}).get("status", {}).get("used") is not None,
        "the quota is in force",
    )


@pytest.mark.parametrize("resource", ["services", "controllerrevisions.apps", "deployments.apps"])
def test_quota_on_a_first_deployment(kubectl: Kubectl, resource: str) -> None:
    """A kind that may not be made is named, with the quota's own words; without the quota the model is served."""
    name = "first-" + resource.partition(".")[0]
    forbid(kubectl, resource)
    try:
        kubectl.apply(fake_model(name))
        ready = wait_reason(kubectl, name, "Refused")
        assert "exceeded quota: nothing-more" in ready["message"]
        assert condition(kubectl, name, "Stalled")["status"] == "True"
    finally:
        kubectl("delete", "quota", QUOTA)
    wait_ready(kubectl, name)


def test_quota_on_a_change(kubectl: Kubectl) -> None:
    """A revision that may not be started leaves the old one serving, and goes out when it may."""
    kubectl.apply(fake_model("change"))
    first = wait_ready(kubectl, "change")["stableRevision"]
    forbid(kubectl, "deployments.apps")
    try:
        kubectl.apply(fake_model("change", version="2"))
        wait_reason(kubectl, "change", "Refused")
        assert condition(kubectl, "change", "Available")["status"] == "True"
        assert selected_revision(kubectl, "change") == first
        assert len(children(kubectl, "deploy", "change")) == 1
    finally:
        kubectl("delete", "quota", QUOTA)
    assert wait_ready(kubectl, "change")["stableRevision"] != first
    wait_quiet(kubectl, "change")


def limit_range(name: str, **limit: dict[str, str]) -> dict[str, Any]:
    """What the containers of the namespace must ask for, or are given."""
    spec = {"limits": [{"type": "Container", **limit}]}
    return {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": spec}


def test_limit_range_that_the_pods_of_a_change_do_not_fit(kubectl: Kubectl) -> None:
    """Pods that cannot be made are notified of in the API server's words; the revision beside them goes on serving."""
    kubectl.apply(fake_model("limited"))
    first = wait_ready(kubectl, "limited")["stableRevision"]
    kubectl.apply(limit_range("at-least", min={"memory": "1Gi"}))
    try:
        kubectl.apply(fake_model("limited", version="2"))
        until(
            lambda: (
                "minimum memory usage per Container is 1Gi"
                in condition(kubectl, "limited", "Progressing")["message"]
            ),
            "it is said why there are no pods",
        )
        assert condition(kubectl, "limited", "Available")["status"] == "True"
        assert selected_revision(kubectl, "limited") == first
    finally:
        kubectl("delete", "limitrange", "at-least")
    assert wait_ready(kubectl, "limited")["stableRevision"] != first


def test_limit_range_that_sets_defaults(kubectl: Kubectl) -> None:
    """It changes pods, and nothing of the operator's: nothing is corrected."""
    kubectl.apply(limit_range("usual", default={"memory": "8Gi", "cpu": "4"}))
    kubectl.apply(fake_model("defaulted"))
    wait_ready(kubectl, "defaulted")
    wait_quiet(kubectl, "defaulted")
