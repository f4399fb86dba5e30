"""What `manifests/base` promises about two operators."""

from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).parents[2] / "manifests" / "base"


def read(name: str) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all((BASE / name).read_text(encoding="utf-8")))


def test_every_file_is_part_of_the_base() -> None:
    """One that is left out would be missed only in a cluster."""
    (kustomization,) = read("kustomization.yaml")
    assert set(kustomization["resources"]) == {file.name for file in BASE.glob("*.yaml")} - {
        "kustomization.yaml"
    }


def test_two_operators_on_two_nodes_of_which_one_may_go() -> None:
    """A drain takes one, and a node's death takes one where there are two nodes."""
    (deployment,) = read("deployment.yaml")
    (budget,) = read("disruption-budget.yaml")
    spec = deployment["spec"]
    labels = spec["template"]["metadata"]["labels"]
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spec["replicas"] == 2
    assert "strategy" not in spec, "a new one may start beside the old one"
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"] == spread["labelSelector"]["matchLabels"] == labels
    assert spread["topologyKey"] == "kubernetes.io/hostname"


def test_the_operator_may_use_the_lease_that_its_defaults_name() -> None:
    """In its own namespace; the Role names the one Lease."""
    role, binding = read("leader-election.yaml")
    (account,) = read("service-account.yaml")
    assert role["rules"][1]["resourceNames"] == ["modelward"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert subject["name"] == account["metadata"]["name"]
