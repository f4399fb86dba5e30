"""For each field of the CRDs' specs the values that somebody may try there, made from the schema."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from cluster.crd_bounds import place, sample
from modelward.api.fields import EXACT_INT_MAX
from unit.api.schema_walk import Node, all_nodes

Schema = dict[str, Any]

BASES: Final[dict[str, Schema]] = {
    "ModelDeployment": {"model": {"format": "onnx"}},
    "ModelRuntime": {"container": {"image": "registry.example.com/own:1"}},
}
"""What must be there for an object to be taken."""
HUGE_TEXT: Final = "a" * (1024 * 1024)
MANY: Final = 10_000
_OF_EVERY_TYPE: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    1.5,
    "a",
    [],
    {},
    [None],
    {"a": None},
    [[]],
    {"a": {}},
)
_NUMBERS: Final = (-1, 0, 1, 1.0, 1e300, 2**31, EXACT_INT_MAX + 1, 2**63 - 1, 2**63, -(2**63) - 1, "1")
_TEXTS: Final = (
    "",
    "-",
    "a\nb",
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "\x7f",
    "\u2028",
    "\u202ea",
    "\ufeffa",
    "e\u0301",
    "\u0661",
    "\u212a",
    "\U0001f600",
    "\U0010ffff",
    "$(A)",
    "../..",
    "{{.}}",
)


class Trial(NamedTuple):
    """A spec with one value at one field."""

    value: Any
    spec: Schema

    @property
    def words(self) -> str:
        """The value, in short."""
        text = repr(self.value)
        return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} characters)"


def nodes() -> list[Node]:
    """Every node of the two specs; ClusterModelRuntime has the schema of ModelRuntime."""
    return [node for node in all_nodes() if ".spec." in node.path and not node.path.startswith("Cluster")]


def fields() -> list[Node]:
    """The nodes that differ in name or schema: what a model says instead of its runtime is of the same type."""
    found: list[Node] = []
    seen: list[tuple[str, Schema]] = []
    for node in nodes():
        kind = node.path.rpartition(".")[2], {**node.schema, "description": ""}
        if kind not in seen:
            seen.append(kind)
            found.append(node)
    return found


def trials(node: Node, schemas: dict[str, Schema]) -> Iterator[Trial]:
    """A trial for each value that somebody may try there; the first is without the field."""
    kind = node.path.partition(".")[0]
    base = BASES[kind]
    yield Trial("nothing", base)
    for value in _values(node.schema):
        made = place(node.path, value, schemas)["spec"]
        yield Trial(value, _merged(base, made))


def _merged(base: Schema, spec: Any) -> Any:
    """The spec with what is missing of the base."""
    if not isinstance(spec, dict):
        return spec
    inside = {
        key: _merged(base[key], spec[key]) for key in base.keys() & spec.keys() if isinstance(base[key], dict)
    }
    return {**base, **spec, **inside}


def _values(schema: Schema) -> Iterator[Any]:
    yield from _OF_EVERY_TYPE
    yield sample(schema)
    if schema.get("type") == "string" or "x-kubernetes-int-or-string" in schema:
        yield from schema.get("enum", ())
        yield from _TEXTS
        yield HUGE_TEXT
        for length in {schema.get("minLength", 1) - 1, schema["maxLength"], schema["maxLength"] + 1} - {-1}:
            yield "a" * length
            yield "\u00e9" * length
    if schema.get("type") == "integer" or "x-kubernetes-int-or-string" in schema:
        yield from _NUMBERS
        for bound, beyond in (("minimum", -1), ("maximum", 1)):
            yield schema[bound]
            yield schema[bound] + beyond
    if schema.get("type") == "array":
        yield [sample(schema["items"], number) for number in range(MANY)]
        yield [sample(schema["items"])] * 2
    if "additionalProperties" in schema:
        yield {f"k{number}": sample(schema["additionalProperties"]) for number in range(MANY)}
        for key in (*_TEXTS, "a" * 63, "a" * 64, "a/b", "a..b/c", f"{'a' * 253}/b", HUGE_TEXT[:4096]):
            yield {key: sample(schema["additionalProperties"])}
