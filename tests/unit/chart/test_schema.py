"""values.schema.json: what it refuses, in which words, and that it agrees with the operator about its settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml
from hypothesis import given, settings

from modelward.errors import InvalidSettings
from modelward.settings import load
from support.chart import CHART, Manifest, chart, rendered
from support.repeatable import examples
from unit.chart.strategies import of_schema

SCHEMA: Final[Manifest] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
SETTINGS: Final[Manifest] = SCHEMA["properties"]["settings"]
BETWEEN_SETTINGS: Final = (
    "accepted",
    "must be 2 x retrySeconds < renewDeadlineSeconds < leaseSeconds",
    "sources must have different names",
)
"""What the operator may say of settings that the schema allows. It ends at what is wrong between two of them: the new
pod does not get Ready, and the old ones go on."""


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param({"replica": 3}, "additional properties 'replica' not allowed", id="misspelt"),
        pytest.param(
            {"image": {"name": "x"}}, "at '/image': additional properties 'name'", id="misspelt below"
        ),
        pytest.param({"replicas": 11}, "at '/replicas': maximum: got 11, want 10", id="too many"),
        pytest.param({"replicas": -1}, "at '/replicas': minimum: got -1, want 0", id="too few"),
        pytest.param(
            {"replicas": "2"}, "at '/replicas': got string, want integer", id="a string for a number"
        ),
        pytest.param({"replicas": 1.5}, "at '/replicas': got number, want integer", id="half an operator"),
        pytest.param({"rbac": {"create": "false"}}, "got string, want boolean", id="a string for a switch"),
        pytest.param({"image": {"tag": "a b"}}, "at '/image/tag': 'a b' does not match pattern", id="no tag"),
        pytest.param({"image": {"digest": "sha256:0"}}, "at '/image/digest': 'sha256:0'", id="half a digest"),
        pytest.param({"image": {"pullPolicy": "Often"}}, "must be one of 'Always'", id="no pull policy"),
        pytest.param(
            {"labels": {"team": 1}}, "at '/labels/team': got number, want string", id="a label is text"
        ),
        pytest.param({"tolerations": {}}, "at '/tolerations': got object, want array", id="a map for a list"),
        pytest.param(
            {"podSecurityContext": {}}, "'podSecurityContext' not allowed", id="security is no value"
        ),
        pytest.param(
            {"settings": {"workers": 0}}, "at '/settings/workers': minimum: got 0, want 1", id="setting"
        ),
        pytest.param(
            {"settings": {"port": 9}}, "at '/settings': additional properties 'port'", id="fixed setting"
        ),
        pytest.param(
            {"settings": {"metrics": {"sources": [{"name": "a"}]}}},
            "missing property 'url'",
            id="half a source",
        ),
        pytest.param(
            {"settings": {"metrics": {"sources": [{"name": "a", "url": "https://me:pw@b"}]}}},
            "at '/settings/metrics/sources/0/url'",
            id="a password in an address",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: Manifest, sentence: str) -> None:
    """At `helm lint`, `template`, `install` and `upgrade`: nothing gets to the cluster."""
    with pytest.raises(helm_python.HelmValuesError) as refused:
        chart().validate_schema(values)
    assert sentence in str(refused.value)
    with pytest.raises(helm_python.HelmError):
        rendered(values)


def test_the_defaults_are_valid() -> None:
    """And they are those of values.yaml."""
    chart().validate_schema()
    assert chart().values == yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def test_every_value_is_described_and_no_map_is_open_by_accident() -> None:
    """Open are the maps whose contents Kubernetes knows, and those of texts."""
    inner = list(_properties(SCHEMA))
    assert [path for path, each in inner if not each.get("description")] == []
    opened = [path for path, each in inner if each.get("type") == "object" and "properties" not in each]
    assert opened == [
        "resources",
        "nodeSelector",
        "affinity",
        "networkPolicy.monitoringNamespaceSelector",
        "serviceAccount.annotations",
        "serviceMonitor.labels",
        "labels",
        "annotations",
        "podLabels",
        "podAnnotations",
        "global",
    ]
    closed = [each for _, each in inner if "properties" in each]
    assert {each["additionalProperties"] for each in [SCHEMA, *closed]} == {False}


def _properties(schema: Manifest, prefix: str = "") -> Iterator[tuple[str, Manifest]]:
    for name, each in schema.get("properties", {}).items():
        yield prefix + name, each
        yield from _properties(each, f"{prefix}{name}.")
        yield from _properties(each.get("items", {}), f"{prefix}{name}[].")


@settings(max_examples=examples(40))
@given(wanted=of_schema(SETTINGS))
def test_settings_that_the_chart_takes_are_settings_for_the_operator(
    tmp_path_factory: pytest.TempPathFactory, wanted: Manifest
) -> None:
    """Its own decoder reads from the ConfigMap what was given, and refuses nothing but what is wrong between settings."""
    alone = not wanted.get("leaderElection", {}).get("enabled", True)
    values = {"settings": wanted, "replicas": 1 if alone else 2, "crds": {"install": False}}
    texts = [each["data"]["settings.yaml"] for each in rendered(values) if each["kind"] == "ConfigMap"]
    assert [yaml.safe_load(text) for text in texts] == [wanted] * bool(wanted)
    file = tmp_path_factory.getbasetemp() / "settings.yaml"
    file.write_text("".join(texts), encoding="utf-8")
    assert any(rule in _refusal(file) for rule in BETWEEN_SETTINGS)


def test_a_text_that_yaml_cannot_hold_is_refused() -> None:
    """Helm's usual function would leave all settings out without a word."""
    source = {"name": "prometheus", "url": "http://\x7f"}
    with pytest.raises(helm_python.HelmRenderError):
        rendered({"settings": {"metrics": {"sources": [source]}}})


def test_what_the_operator_refuses_the_schema_refuses(tmp_path: Path) -> None:
    """One beyond each bound of each setting: both say no."""
    for path, each in _properties(SETTINGS):
        for wrong in _beyond(each) if "[]" not in path else ():
            *outer, name = path.split(".")
            values = _nested(outer, {name: wrong})
            with pytest.raises(helm_python.HelmValuesError, match=name):
                chart().validate_schema({"settings": values})
            (tmp_path / "settings.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
            with pytest.raises(InvalidSettings, match=name):
                load(tmp_path / "settings.yaml", {})


def _refusal(file: Path) -> str:
    try:
        load(file, {"port": 8080})
    except InvalidSettings as refusal:
        return str(refusal)
    return "accepted"


def _nested(names: list[str], value: Any) -> Any:
    for name in reversed(names):
        value = {name: value}
    return value


def _beyond(schema: Manifest) -> Iterator[Any]:
    yield from ([schema["minimum"] - 1] if "minimum" in schema else [])
    yield from ([schema["exclusiveMinimum"]] if "exclusiveMinimum" in schema else [])
    yield from ([schema["maximum"] + 1] if "maximum" in schema else [])
    yield from (["?"] if "pattern" in schema else [])
    yield from (["yes"] if schema["type"] == "boolean" else [])
