"""`values.yaml` and `values.schema.json` of the Helm chart, made from the types of its values and of the settings."""

import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from generate.chart_values import Values
from generate.docstrings import of_attributes
from modelward.settings import Settings

Schema = dict[str, Any]

FIXED: Final = ("host", "port", "leaderElection.namespace")
"""Settings that the chart does not take: its manifests rely on what they are."""

_HEADER: Final = """\
# Values of the chart. values.schema.json has their bounds, docs/reference/chart.md has them as a table.
# Generated from tests/generate/chart_values.py by `make generate`. Do not edit.
"""
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_WIDTH: Final = 100


def values_yaml() -> str:
    """The defaults, each below its sentence."""
    return _HEADER + "\n".join(_lines(Values(), ""))


def schema_json() -> str:
    """The schema, without references: Helm before 3.18 and editors resolve them in different ways."""
    schema: Schema = {"$schema": _DRAFT, "title": "Values of the chart modelward"}
    schema |= _described(Values)
    schema["properties"]["settings"] |= _settings()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def default(item: msgspec.structs.FieldInfo) -> Any:
    """The default of a field."""
    if item.default is not msgspec.NODEFAULT:
        return item.default
    return None if item.default_factory is msgspec.NODEFAULT else item.default_factory()


def _settings() -> Schema:
    """The schema of the operator's settings, less what is fixed. Without defaults: what is absent is not set."""
    schema = _described(Settings, leave_out=frozenset({"default"}))
    for path in FIXED:
        *outer, name = path.split(".")
        inner = schema
        for each in outer:
            inner = inner["properties"][each]
        del inner["properties"][name]
    return {key: schema[key] for key in ("type", "properties", "additionalProperties")}


def _described(struct: type[msgspec.Struct], leave_out: frozenset[str] = frozenset()) -> Schema:
    """The schema of a struct, with a description for each field."""
    (schema,), components = msgspec.json.schema_components([struct], ref_template="{name}")
    inlined = _inlined(schema, components, leave_out | {"title"})
    _describe(struct, inlined)
    return inlined


def _inlined(node: Schema, components: dict[str, Schema], leave_out: frozenset[str]) -> Schema:
    """The same without references and without some keywords."""
    if "$ref" in node:
        return _inlined(components[node["$ref"]], components, leave_out)
    plain = {key: each for key, each in node.items() if key not in leave_out and each != []}
    for key in ("items", "additionalProperties"):
        if isinstance(plain.get(key), dict):
            plain[key] = _inlined(plain[key], components, leave_out)
    if "properties" in plain:
        properties = plain["properties"].items()
        plain["properties"] = {name: _inlined(each, components, leave_out) for name, each in properties}
    return plain


def _describe(struct: type[msgspec.Struct], schema: Schema) -> None:
    """Add the docstrings. A schema's own description is the docstring of its struct."""
    sentences = of_attributes(struct)
    for item in msgspec.structs.fields(struct):
        inner = schema["properties"][item.encode_name]
        if sentence := sentences.get(item.name):
            inner["description"] = sentence
        if nested := _struct(item.type):
            _describe(nested, inner["items"] if inner["type"] == "array" else inner)


def _struct(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, itself or in a list."""
    for each in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _lines(struct: msgspec.Struct, indent: str) -> Iterator[str]:
    """YAML of a struct with its comments, line by line."""
    sentences = of_attributes(type(struct))
    for item in msgspec.structs.fields(struct):
        held = getattr(struct, item.name)
        nested = isinstance(held, msgspec.Struct)
        sentence = type(held).__doc__ if nested else sentences[item.name]
        if not indent:
            yield ""
        yield f"{indent}# {sentence}"
        if nested:
            yield f"{indent}{item.encode_name}:"
            yield from _lines(held, indent + "  ")
        else:
            text = yaml.safe_dump(
                {item.encode_name: msgspec.to_builtins(held)}, sort_keys=False, width=_WIDTH
            )
            yield from (indent + line for line in text.splitlines())
    if not indent:
        yield ""
