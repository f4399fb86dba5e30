"""The operator's NetworkPolicy beside what it is about: the operator's pods, its port, the pods of models."""

from pathlib import Path
from typing import Any

import yaml

from modelward.api import names

BASE = Path(__file__).parents[2] / "manifests" / "base"


def read(name: str) -> dict[str, Any]:
    """The only object of a file."""
    found: dict[str, Any] = yaml.safe_load((BASE / name).read_text(encoding="utf-8"))
    return found


def test_it_is_about_the_operators_pods() -> None:
    """A selector that fits nothing would be no policy at all."""
    template = read("deployment.yaml")["spec"]["template"]
    spec = read("network-policy.yaml")["spec"]
    assert spec["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_only_the_port_of_the_endpoints_is_open() -> None:
    """It is named as the container names it, so that it follows a changed number."""
    (container,) = read("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    (rule,) = read("network-policy.yaml")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [port["name"] for port in container["ports"]]
    assert rule["from"], "an empty list would let in everybody"


def test_it_reaches_the_pods_of_every_model() -> None:
    """By labels that every generated pod carries, whatever its port; other pods only on the API server's ports."""
    api_server, models = read("network-policy.yaml")["spec"]["egress"][1:]
    (peer,) = models["to"]
    labels = peer["podSelector"]["matchLabels"]
    assert labels
    assert labels.items() <= names.revision_labels("fraud", "hj5lgwj8gq").items()
    assert peer["namespaceSelector"] == {}
    assert "ports" not in models
    assert [port["port"] for port in api_server["ports"]] == [443, 6443]
