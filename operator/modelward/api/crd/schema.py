"""Structural OpenAPI v3 schemas made from the types.

msgspec's own JSON Schema has `$ref`, `anyOf`, untyped enums and a `default` on every field; a CRD may have
none of these. Source of the rules:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

import inspect
from collections.abc import Iterable
from typing import Any, Final

import msgspec.inspect as types

from modelward.api.fields import INT32_MAX, WORDED, ApiStruct, Rule

Schema = dict[str, Any]

_RULES: Final = "x-kubernetes-validations"


class UntranslatableError(TypeError):
    """A type of the resource has no structural schema: a mistake in `modelward.api`, found by its tests."""


def structural_schema(struct: type[ApiStruct], *, nullable: bool) -> Schema:
    """Return the schema of `struct`, inline.

    `nullable` lets optional fields be null: for what people write (templates render absent values as null),
    not for what the operator writes.
    """
    return _Translator(nullable=nullable).translate(types.type_info(struct))


class _Translator:
    """The walk from types to schemas; it carries the one option."""

    def __init__(self, *, nullable: bool) -> None:
        self._nullable = nullable

    def translate(self, node: types.Type) -> Schema:
        """Return the schema of one type."""
        match node:
            case types.Metadata():
                return _with_extra(self.translate(node.type), node)
            case types.UnionType():
                return self._union([part for part in node.types if not isinstance(part, types.NoneType)])
            case types.StructType():
                return self._object(node)
            case types.VarTupleType():
                return self._list(node)
            case types.DictType():
                return self._map(node)
            case _:
                return _scalar(node)

    def _union(self, parts: list[types.Type]) -> Schema:
        """Return the schema of the one part besides None, or of a whole number that may be written as a string."""
        schemas = [self.translate(part) for part in parts]
        if len(schemas) == 1:
            return schemas[0]
        if {schema.get("type") for schema in schemas} != {"integer", "string"}:
            raise UntranslatableError(f"no schema for a union of {parts}")
        merged: Schema = {"x-kubernetes-int-or-string": True}
        for schema in schemas:
            merged |= {key: value for key, value in schema.items() if key not in {"type", "format"}}
        return merged

    def _object(self, node: types.StructType) -> Schema:
        """Return the schema of a struct: its fields in order, and its rules."""
        properties = {field.encode_name: self._field(field) for field in node.fields}
        schema: Schema = {"type": "object", "description": summary(node.cls), "properties": properties}
        if required := [field.encode_name for field in node.fields if field.required]:
            schema["required"] = required
        if map_type := getattr(node.cls, "MAP_TYPE", None):
            schema["x-kubernetes-map-type"] = map_type
        if rules := getattr(node.cls, "RULES", ()):
            schema[_RULES] = [rule.manifest() for rule in rules]
        return schema

    def _field(self, field: types.Field) -> Schema:
        """Return the schema of a field. One with a default in the CRD needs no null: the API server replaces it."""
        schema = self.translate(field.type)
        # For the API server null is no member of an enum, whatever the enum says. Where a field is not
        # nullable it drops the null by itself, except in server-side apply.
        if not self._nullable or field.required or "default" in schema or "enum" in schema:
            return schema
        return schema | {"nullable": True}

    def _list(self, node: types.VarTupleType) -> Schema:
        schema: Schema = {"type": "array", "items": self.translate(node.item_type)}
        return schema | _present(minItems=node.min_length, maxItems=node.max_length)

    def _map(self, node: types.DictType) -> Schema:
        """Return the schema of a map. OpenAPI v3.0 cannot constrain keys, so a rule does."""
        schema: Schema = {"type": "object", "additionalProperties": self.translate(node.value_type)}
        schema |= _present(maxProperties=node.max_length)
        if isinstance(node.key_type, types.StrType) and node.key_type.pattern:
            schema[_RULES] = [_key_rule(node.key_type).manifest()]
        return schema


def _with_extra(schema: Schema, node: types.Metadata) -> Schema:
    """Return `schema` with the keys of `node`; rules of both are kept."""
    extra = node.extra_json_schema or {}
    rules = [*schema.get(_RULES, ()), *extra.get(_RULES, ())]
    merged = schema | extra | ({_RULES: rules} if rules else {})
    if node.extra == WORDED:
        del merged["pattern"]
    return merged


def _key_rule(key: types.StrType) -> Rule:
    """Return the rule that each key of a map has the pattern and length of `key`."""
    return Rule(
        expression=f"self.all(k, size(k) <= {key.max_length} && k.matches(r'{key.pattern}'))",
        message="must have keys like example.com/name or name: letters, digits, '-', '_' and '.' in the name,"
        f" at most 63 characters there and {key.max_length} in all",
    )


def _scalar(node: types.Type) -> Schema:
    """Return the schema of a boolean, whole number, string or closed set of strings."""
    match node:
        case types.BoolType():
            return {"type": "boolean"}
        case types.IntType():
            width = "int32" if node.le is not None and node.le <= INT32_MAX else "int64"
            return {"type": "integer", "format": width} | _present(minimum=node.ge, maximum=node.le)
        case types.StrType():
            return {"type": "string"} | _present(
                minLength=node.min_length, maxLength=node.max_length, pattern=node.pattern
            )
        case types.EnumType():
            return _enum([str(member.value) for member in node.cls])
        case _:
            raise UntranslatableError(f"no schema for {node}")


def _enum(values: Iterable[str]) -> Schema:
    """Return the schema of a closed set. The length bound is for the cost estimate of CEL rules."""
    listed = list(values)
    return {"type": "string", "enum": listed, "maxLength": max(map(len, listed))}


def _present(**constraints: Any) -> Schema:
    """Return the constraints that are set."""
    return {key: value for key, value in constraints.items() if value is not None}


def summary(struct: type) -> str:
    """Return the first paragraph of the docstring, as one line."""
    return " ".join(inspect.cleandoc(struct.__doc__ or "").split("\n\n")[0].split())
