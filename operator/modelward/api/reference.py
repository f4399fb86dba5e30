"""The field reference docs/reference/api.md, made from the same schemas as the CRDs."""

from collections.abc import Iterator
from typing import Final

from modelward.api.crd.definitions import crd_manifests
from modelward.api.crd.schema import Schema
from modelward.api.names import API_VERSION
from modelward.api.objects import Manifest

INTRODUCTION: Final = f"""\
# API reference

<!-- Generated from operator/modelward/api by `make generate`. Do not edit. -->

All kinds are `{API_VERSION}`. Every field is optional unless it is said to be required. A field that is
null counts as absent, except one with a closed set of values in server-side apply, where it is refused.
"""

COLUMNS: Final = "| Field | Type | Meaning |\n|---|---|---|\n"


def markdown() -> str:
    """Return the whole reference, one table per object."""
    return "\n".join([INTRODUCTION, *(part for crd in crd_manifests() for part in _kind(crd))])


def _kind(crd: Manifest) -> Iterator[str]:
    names, version = crd["spec"]["names"], crd["spec"]["versions"][0]
    root: Schema = version["schema"]["openAPIV3Schema"]
    yield f"## {names['kind']}\n"
    yield f"{root['description']} {crd['spec']['scope']}.\n"
    if names["kind"] == "ClusterModelRuntime":
        yield "The fields are those of a ModelRuntime.\n"
        return
    for part in ("spec", "status"):
        if part in root["properties"]:
            yield from _object(f"{names['kind']}: {part}", root["properties"][part])


def _object(path: str, schema: Schema) -> Iterator[str]:
    """Yield the table of one object, its rules, and the objects within."""
    yield f"### {path}\n"
    yield f"{schema['description']}\n"
    required = schema.get("required", ())
    rows = (_row(name, field, required=name in required) for name, field in schema["properties"].items())
    yield COLUMNS + "\n".join(rows) + "\n"
    if rules := schema.get("x-kubernetes-validations"):
        yield "Rules:\n\n" + "\n".join(_rule(rule) for rule in rules) + "\n"
    for name, field in schema["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            yield from _object(f"{path}.{name}" + ("[]" if "items" in field else ""), inner)


def _row(name: str, schema: Schema, *, required: bool) -> str:
    mark = " (required)" if required else ""
    return f"| `{name}`{mark} | {_cell(_type(schema))} | {_cell(_meaning(schema))} |"


def _rule(rule: dict[str, str]) -> str:
    subject = f"`{rule['fieldPath'].removeprefix('.')}` " if "fieldPath" in rule else ""
    return f"- {subject}{_cell(rule['message'])}"


def _meaning(schema: Schema) -> str:
    """Return the description, and what rules say about the value itself."""
    own = schema.get("x-kubernetes-validations", ()) if "properties" not in schema else ()
    item: Schema = schema.get("items") or schema.get("additionalProperties") or {}
    within = item.get("x-kubernetes-validations", ()) if "properties" not in item else ()
    rules = [f"It {rule['message']}." for rule in own]
    return " ".join([schema["description"], *rules, *(f"Each {rule['message']}." for rule in within)])


def _type(schema: Schema) -> str:
    """Return type and bounds in words."""
    match schema:
        case {"enum": values}:
            words = " or ".join(f"`{value}`" for value in values)
        case {"x-kubernetes-int-or-string": True}:
            words = "number or string"
        case {"type": "integer"}:
            words = f"integer, {schema['minimum']} to {schema['maximum']}"
        case {"type": "string"}:
            words = _string(schema)
        case {"type": "array"}:
            words = f"list of at most {schema['maxItems']}: {_type(schema['items'])}"
        case {"additionalProperties": values}:
            words = f"map of at most {schema['maxProperties']}: {_type(values)}"
        case _:
            words = str(schema["type"])
    return words


def _string(schema: Schema) -> str:
    if schema.get("format") == "date-time":
        return "time (RFC 3339)"
    pattern = f", `{schema['pattern']}`" if "pattern" in schema else ""
    return f"string, at most {schema['maxLength']} characters{pattern}"


def _cell(text: str) -> str:
    """Return `text` for a table cell: a bar would end the cell, an asterisk begin emphasis."""
    return text.replace("|", "\\|").replace("*.", "\\*.").replace("\n", " ")
