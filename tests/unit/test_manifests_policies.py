"""The admission policies beside what they speak of: the operator's account, its labels."""

from pathlib import Path
from typing import Any

import yaml

from modelward.api import names

MANIFESTS = Path(__file__).parents[2] / "manifests"


def read(path: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all((MANIFESTS / path).read_text(encoding="utf-8")))


def test_the_confined_account_is_the_one_that_is_installed() -> None:
    """Under another name the policy would hold nobody back, and nobody would notice."""
    (account,) = read("base/service-account.yaml")
    (kustomization,) = read("base/kustomization.yaml")
    policy, _ = read("policies/confinement.yaml")
    who, _, lease, _ = policy["spec"]["matchConditions"]
    user = f"system:serviceaccount:{kustomization['namespace']}:{account['metadata']['name']}"
    assert who["expression"] == f"request.userInfo.username == '{user}'"
    assert f"== '{kustomization['namespace']}'" in lease["expression"]
    snapshots, _ = read("policies/snapshots.yaml")
    assert snapshots["spec"]["matchConditions"][0]["expression"] == f"request.userInfo.username != '{user}'"


def test_the_labels_are_those_that_the_operator_goes_by() -> None:
    """The one on all that it makes, and the one by which a route opts in."""
    policy, _ = read("policies/confinement.yaml")
    said = " ".join(each["expression"] for each in policy["spec"]["variables"])
    assert f"labels['{names.MANAGED_BY_LABEL}'].orValue('') == '{names.MANAGER}'" in said
    assert f"labels['{names.WEIGHTS_LABEL}'].orValue('') == '{names.WEIGHTS_MANAGED}'" in said


def test_a_policy_that_cannot_be_evaluated_refuses() -> None:
    """And every policy has a binding, without which it does nothing."""
    (kustomization,) = read("policies/kustomization.yaml")
    for file in kustomization["resources"]:
        policy, binding = read(f"policies/{file}")
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert binding["spec"] == {
            "policyName": policy["metadata"]["name"],
            "validationActions": ["Deny"],
        }
