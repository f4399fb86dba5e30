"""For each bound of each field an object at the bound and one beyond it, made from the CRD's schema."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from unit.api.schema_walk import Node, all_nodes

Schema = dict[str, Any]
TIME = "2026-11-22T10:00:00.000001Z"


class BoundCase(NamedTuple):
    """`beyond` gets `message`; `within`, where it is not None, does not get it."""

    path: str
    """As in the schema, beginning with the kind: `ModelDeployment.spec.rollout.steps[].weightPercent`."""
    bound: str
    within: Schema | None
    beyond: Schema
    message: str

    @property
    def sentence(self) -> str:
        """Return the name of the case."""
        return f"{self.path} keeps its {self.bound}"


def bound_cases() -> list[BoundCase]:
    """Return a case for each bound in the CRDs; ClusterModelRuntime has the schema of ModelRuntime."""
    nodes = [node for node in all_nodes() if not node.path.startswith("Cluster")]
    schemas = {node.path: node.schema for node in nodes}
    return [case for node in nodes for case in _cases(node, schemas)]


def _cases(node: Node, schemas: dict[str, Schema]) -> Iterator[BoundCase]:
    for bound, make in BOUNDS.items():
        if bound not in node.schema or (bound == "maxLength" and "enum" in node.schema):
            continue
        within, beyond, message = make(node.schema)
        yield BoundCase(
            node.path,
            bound,
            # A time is shorter than its bound, so nothing at the bound is a time.
            None if "format" in node.schema and bound == "maxLength" else place(node.path, within, schemas),
            place(node.path, beyond, schemas),
            f"{_written(node.path)}{message}",
        )


def place(path: str, value: Any, schemas: dict[str, Schema]) -> Schema:
    """Return `{"spec": ...}` or `{"status": ...}` with `value` at `path` and what is required beside it."""
    while "." in path:
        parent, last = _split(path)
        if last == "[]":
            value = [value]
        elif last == "{}":
            value = {"key": value}
        else:
            value = sample(schemas[parent]) | {last: value} if parent in schemas else {last: value}
        path = parent
    return dict(value)


def _split(path: str) -> tuple[str, str]:
    if path.endswith(("[]", "{}")):
        return path[:-2], path[-2:]
    parent, _, name = path.rpartition(".")
    return parent, name


def _written(path: str) -> str:
    """Return the path as the API server writes it for objects made by `place`.

    Of a write to /status some messages name the path from there, so that is all that is compared.
    """
    return path.partition(".")[2].removeprefix("status.").replace("[]", "[0]").replace("{}", ".key")


def sample(schema: Schema, number: int = 0) -> Any:
    """Return a value within the bounds of `schema`; those of different numbers differ."""
    match schema:
        case {"enum": [first, *_]}:
            value = first
        case {"format": "date-time"}:
            value = TIME
        case {"x-kubernetes-int-or-string": True}:
            value = 1
        case {"type": "string"}:
            value = f"a{number}"
        case {"type": "integer"}:
            value = min(schema["minimum"] + number, schema["maximum"])
        case {"type": "boolean"}:
            value = False
        case {"type": "array"}:
            value = _items(schema, schema.get("minItems", 0))
        case _:
            value = {name: sample(schema["properties"][name], number) for name in schema.get("required", ())}
    return value


def _items(schema: Schema, count: int) -> list[Any]:
    return [sample(schema["items"], number) for number in range(count)]


def _entries(schema: Schema, count: int) -> Schema:
    return {f"k{number}": sample(schema["additionalProperties"]) for number in range(count)}


BOUNDS: dict[str, Callable[[Schema], tuple[Any, Any, str]]] = {
    "minimum": lambda s: (
        s["minimum"],
        s["minimum"] - 1,
        f" in body should be greater than or equal to {s['minimum']}",
    ),
    "maximum": lambda s: (
        s["maximum"],
        s["maximum"] + 1,
        f" in body should be less than or equal to {s['maximum']}",
    ),
    "minLength": lambda s: (
        "a" * s["minLength"],
        "a" * (s["minLength"] - 1),
        f" in body should be at least {s['minLength']} chars long",
    ),
    "maxLength": lambda s: (
        "a" * s["maxLength"],
        "a" * (s["maxLength"] + 1),
        f": Too long: may not be more than {s['maxLength']} bytes",
    ),
    # What fits a pattern is tried by the cases of the other bounds.
    "pattern": lambda s: ("a", "!", f" in body should match '{s['pattern']}'"),
    "enum": lambda s: (
        s["enum"][-1],
        "Nonsense",
        ': Unsupported value: "Nonsense": supported values: '
        + ", ".join(f'"{value}"' for value in s["enum"]),
    ),
    "minItems": lambda s: (
        _items(s, s["minItems"]),
        _items(s, s["minItems"] - 1),
        f" in body should have at least {s['minItems']} items",
    ),
    "maxItems": lambda s: (
        _items(s, s["maxItems"]),
        _items(s, s["maxItems"] + 1),
        f": Too many: {s['maxItems'] + 1}: must have at most {s['maxItems']} items",
    ),
    "maxProperties": lambda s: (
        _entries(s, s["maxProperties"]),
        _entries(s, s["maxProperties"] + 1),
        f": Too many: {s['maxProperties'] + 1}: must have at most {s['maxProperties']} items",
    ),
}
