"""What holds for every field of every kind: described, bounded, structural, cheap to read."""

from typing import Any

import pytest

from modelward.api.crd.definitions import crd_manifests
from modelward.api.crd.schema import UntranslatableError, structural_schema
from modelward.api.decode import decode_status
from modelward.api.fields import ApiStruct
from modelward.api.model_deployment import REVISION_FIELDS, ModelDeploymentSpec
from unit.api.schema_walk import Node, all_nodes

NODES = all_nodes()
FIELDS = [node for node in NODES if not node.path.endswith(("[]", "{}"))]
FORBIDDEN = {
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "x-kubernetes-preserve-unknown-fields",
    "const",
    "title",
}


def of_type(kind: str) -> list[Node]:
    """Return the nodes of one OpenAPI type."""
    return [node for node in NODES if node.schema.get("type") == kind]


def failing(nodes: list[Node], *keys: str) -> list[str]:
    """Return the paths of the nodes that lack one of `keys`."""
    return [node.path for node in nodes if not set(keys) <= set(node.schema)]


def test_every_field_is_described() -> None:
    """`kubectl explain` has something to say everywhere, in at most three sentences."""
    assert failing(FIELDS, "description") == []
    assert [n.path for n in FIELDS if not n.schema["description"].endswith(".")] == []


def test_every_optional_field_of_the_user_names_its_default() -> None:
    """The description of a field that may be left out says what happens then."""
    unsaid = [
        f"{node.path}.{name}"
        for node in NODES
        if ".spec" in node.path
        for name, field in node.schema.get("properties", {}).items()
        if name not in node.schema.get("required", ())
        and not any(word in field["description"] for word in ("Default", "Required unless", "Required with"))
    ]
    assert unsaid == []


def test_every_required_field_says_so() -> None:
    """The description of a field that must be given says so, except in status, which nobody writes by hand."""
    unsaid = [
        f"{node.path}.{name}"
        for node in NODES
        if ".spec" in node.path
        for name in node.schema.get("required", ())
        if "Required" not in node.schema["properties"][name]["description"]
    ]
    assert unsaid == []


def test_every_string_has_a_length() -> None:
    """Unbounded strings would make CEL rules too dear and status too long."""
    assert failing(of_type("string"), "maxLength") == []


def test_every_number_has_bounds_and_a_width() -> None:
    """There are no floats: clients read them differently."""
    assert failing(of_type("integer"), "minimum", "maximum", "format") == []
    assert of_type("number") == []
    assert failing([n for n in NODES if "x-kubernetes-int-or-string" in n.schema], "minimum", "maximum") == []


def test_every_list_has_a_length_and_a_type() -> None:
    """Server-side apply needs to know how lists merge; keys of a list map are always there."""
    lists = of_type("array")
    assert failing(lists, "maxItems", "x-kubernetes-list-type") == []
    for node in lists:
        items = node.schema["items"]
        for key in node.schema.get("x-kubernetes-list-map-keys", ()):
            assert key in items.get("required", ()) or "default" in items["properties"][key], node.path


def test_every_map_has_a_length_and_a_rule_for_its_keys() -> None:
    """A map's keys become labels, annotations and resource names."""
    maps = [node for node in NODES if "additionalProperties" in node.schema]
    assert failing(maps, "maxProperties", "x-kubernetes-map-type", "x-kubernetes-validations") == []


def test_schemas_are_structural() -> None:
    """None of JSON Schema's constructs that Kubernetes refuses or that hide a type."""
    assert [node.path for node in NODES if FORBIDDEN & set(node.schema)] == []
    assert [n.path for n in NODES if not n.schema.keys() & {"type", "x-kubernetes-int-or-string"}] == []


def test_closed_sets_are_camel_case_strings() -> None:
    """`signal` alone has lower-case values: they are field names."""
    for node in NODES:
        if "enum" in node.schema and not node.path.endswith(".signal"):
            assert node.schema["type"] == "string", node.path
            assert all(value[0].isupper() and value.isalnum() for value in node.schema["enum"]), node.path


def test_revision_fields_have_no_default() -> None:
    """A later default in the CRD would change the hash of every revision."""
    prefixes = tuple(f"ModelDeployment.spec.{field}" for field in REVISION_FIELDS)
    inside = [node for node in NODES if node.path.startswith(prefixes)]
    assert len(inside) > len(REVISION_FIELDS)
    assert [node.path for node in inside if "default" in node.schema] == []


def test_f16_the_status_of_what_no_operator_has_seen_is_that_of_no_generation() -> None:
    """As a default of status itself: that of the field alone would never be applied."""
    root = {each["metadata"]["name"]: each for each in crd_manifests()}["modeldeployments.modelward.dev"]
    schema = root["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert schema["default"] == {"observedGeneration": 0}
    assert decode_status(schema["default"]) == decode_status(None)


def test_only_replicas_and_format_versions_have_a_default() -> None:
    """All other defaults are in code, where a release can change them for objects that do not say."""
    defaults = {n.path: n.schema["default"] for n in NODES if "default" in n.schema}
    assert defaults == {
        "ModelDeployment.spec.replicas": 1,
        "ModelDeployment.status": {"observedGeneration": 0},
        "ModelRuntime.spec.formats[].version": "",
        "ClusterModelRuntime.spec.formats[].version": "",
    }


def test_what_people_write_may_be_null_and_what_the_operator_writes_may_not() -> None:
    """Templates render absent values as null; only fields with a default or a closed set do without."""
    for node in NODES:
        for name, field in node.schema.get("properties", {}).items():
            optional = name not in node.schema.get("required", ()) and not {"default", "enum"} & set(field)
            assert field.get("nullable", False) == (optional and ".spec" in node.path), f"{node.path}.{name}"


def rules() -> list[dict[str, str]]:
    """Return all CEL rules."""
    return [rule for node in NODES for rule in node.schema.get("x-kubernetes-validations", ())]


def test_messages_of_rules_begin_with_must() -> None:
    """The API server prints the field before the message, so that both read as a sentence."""
    assert [rule["message"] for rule in rules() if not rule["message"].startswith("must ")] == []
    assert [
        rule["message"] for rule in rules() if len(rule["message"]) > 250 or "\n" in rule["message"]
    ] == []


@pytest.mark.parametrize("field", REVISION_FIELDS)
def test_revision_fields_exist(field: str) -> None:
    """A name in the list that is no field would never be hashed."""
    assert field in structural_schema(ModelDeploymentSpec, nullable=True)["properties"]


class _Untyped(ApiStruct, frozen=True, kw_only=True):
    """A struct that no CRD can hold."""

    anything: Any = None
    either: int | bool = 1


def test_a_type_without_a_schema_is_a_mistake() -> None:
    """It must not end in a CRD as something else."""
    with pytest.raises(UntranslatableError):
        structural_schema(_Untyped, nullable=True)
