"""Every node of the CRDs' schemas, one by one, under the path that a user would write."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from modelward.api.crd.definitions import crd_manifests


class Node(NamedTuple):
    """One schema: of a field, of a list's items (`[]`) or of a map's values (`{}`)."""

    path: str
    schema: dict[str, Any]


def root_of(crd: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the CRD's only version."""
    root: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def walk(path: str, schema: dict[str, Any]) -> Iterator[Node]:
    """Yield `schema` and all within."""
    yield Node(path, schema)
    for name, field in schema.get("properties", {}).items():
        yield from walk(f"{path}.{name}", field)
    if "items" in schema:
        yield from walk(f"{path}[]", schema["items"])
    if "additionalProperties" in schema:
        yield from walk(f"{path}{{}}", schema["additionalProperties"])


def all_nodes() -> list[Node]:
    """Return the nodes of spec and status of all kinds; paths begin with the kind."""
    return [
        node
        for crd in crd_manifests()
        for part in ("spec", "status")
        if part in root_of(crd)["properties"]
        for node in walk(f"{crd['spec']['names']['kind']}.{part}", root_of(crd)["properties"][part])
    ]
