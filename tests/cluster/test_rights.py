"""The operator's rights against what it did: the audit log of the whole run. Runs last."""

from pathlib import Path

import pytest
import yaml

from support import accounts
from support.accounts import Account, Use

pytestmark = pytest.mark.last

BASE = Path(__file__).parents[2] / "manifests" / "base"
ROLES = (BASE / "role.yaml", BASE / "leader-election.yaml")
WHOLE_SUITE = {
    "test_lifecycle",
    "test_restart",
    "test_foreign_hands",
    "test_operator_in_cluster",
    "test_gateway_canary",
    "test_room",
}

NEVER_SENT = {
    # Admission asks for it when an owner reference blocks deletion; it is never a request of its own.
    ("modelward.dev", "modeldeployments/finalizers", "update"),
}
SENT_FOR_LOST_EVENTS = {
    ("modelward.dev", resource, "get")
    for resource in ("modeldeployments", "modelruntimes", "clustermodelruntimes")
} | {
    ("apps", "controllerrevisions", "get"),
    ("autoscaling", "horizontalpodautoscalers", "get"),
    ("policy", "poddisruptionbudgets", "get"),
    ("", "pods", "get"),
}
"""The sweep reads an object whose event was lost; a run in which none was lost does not need them."""


@pytest.fixture
def account(request: pytest.FixtureRequest) -> Account:
    """What the operator did in all lanes; without lanes, on the one cluster."""
    return accounts.kept() or accounts.of(request.getfixturevalue("cluster"))


def granted() -> set[Use]:
    """All that the shipped roles allow."""
    manifests = (each for file in ROLES for each in yaml.safe_load_all(file.read_text(encoding="utf-8")))
    rules = [rule for each in manifests for rule in each.get("rules", ())]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_nothing_was_forbidden(account: Account) -> None:
    """No request of the operator was refused for lack of a right."""
    assert account.forbidden == []


@pytest.mark.whole
def test_nothing_was_granted_in_vain(account: Account) -> None:
    """Every verb of the shipped roles was used, those apart whose use is rare or no request."""
    if not account.modules >= WHOLE_SUITE:
        pytest.skip("only the whole suite uses every right")
    assert granted() - account.used - NEVER_SENT <= SENT_FOR_LOST_EVENTS


def test_no_secret_and_no_wildcard() -> None:
    """The roles name what they need: no Secret, no wildcard, no escalation, no deletion of collections."""
    for group, resource, verb in granted():
        assert "*" not in (group, resource, verb)
        assert not resource.startswith(("secrets", "roles", "clusterroles", "serviceaccounts", "nodes"))
        assert verb not in {"deletecollection", "escalate", "bind", "impersonate"}
        assert resource != "pods" or verb in {"get", "list", "watch"}
