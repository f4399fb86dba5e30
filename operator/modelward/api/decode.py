"""The one door between Kubernetes' JSON and typed values.

Spec is the user's: what is wrong with it is said, with the field's path. Status is the operator's own
memory: what cannot be read of it (another version wrote it, or a hand) is dropped and the rest is kept.
"""

import re
from ast import literal_eval
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec

from modelward.api.fields import ApiStruct
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.schema import Schema, structural_schema
from modelward.api.status import ModelDeploymentStatus
from modelward.errors import InvalidSpec

Struct = TypeVar("Struct", bound=ApiStruct)


class DecodedStatus(NamedTuple):
    """A status, and the paths (`status.rollout.step`) of what could not be read of it."""

    status: ModelDeploymentStatus
    dropped: tuple[str, ...]


def decode_spec(spec: Mapping[str, Any]) -> ModelDeploymentSpec:
    """Return the spec of a ModelDeployment. Raises InvalidSpec."""
    return _decode(spec, ModelDeploymentSpec)


def decode_runtime(spec: Mapping[str, Any]) -> ModelRuntimeSpec:
    """Return the spec of a ModelRuntime or ClusterModelRuntime. Raises InvalidSpec."""
    return _decode(spec, ModelRuntimeSpec)


def decode_status(status: Mapping[str, Any] | None) -> DecodedStatus:
    """Return what can be read of a status; of none at all, an empty one. Never raises."""
    if status is None:
        return DecodedStatus(ModelDeploymentStatus(), ())
    try:
        plain = without_nulls(status)
        return DecodedStatus(msgspec.convert(plain, ModelDeploymentStatus), ())
    except msgspec.ValidationError:
        return _salvage(plain)
    except RecursionError:
        return DecodedStatus(ModelDeploymentStatus(), ("status",))


def encode(struct: ApiStruct) -> dict[str, Any]:
    """Return the JSON object of `struct`: camelCase, without fields that have their default."""
    return dict(_entries(struct))


def without_nulls(value: Any) -> Any:
    """Return `value` with plain dicts and lists, and without entries that are null: Kubernetes reads null as absent."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_nulls(item) for item in value]
    return value


def _decode(raw: Mapping[str, Any], struct: type[Struct]) -> Struct:
    try:
        plain = without_nulls(raw)
        return msgspec.convert(plain, struct)
    except msgspec.ValidationError as error:
        raise _explained(error, plain, struct) from error
    except RecursionError as error:
        raise InvalidSpec("spec", "must not be nested a thousand levels deep") from error


# --- what is wrong, in the user's words ---------------------------------------------------------------------

_LOCATED: Final = re.compile(r"^(?P<problem>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>\w+)`$")
_BOUND: Final = re.compile(
    r"^Expected `(?P<type>\w+)`(?P<length> of length)? (?P<sign>[<>]=) (?P<limit>\d+)$"
)
_PATTERN: Final = re.compile(r"^Expected `str` matching regex (?P<pattern>.*)$", re.DOTALL)
_TYPE: Final = re.compile(r"^Expected `(?P<wanted>[^`]+)`, got `(?P<got>\w+)`$")
_WORDS: Final = {
    "int": "a whole number",
    "str": "a string (in quotes, if it looks like a number or true/false)",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "float": "a number with a fraction",
    "null": "null",
}


def _explained(error: msgspec.ValidationError, raw: Any, struct: type[ApiStruct]) -> InvalidSpec:
    """Return the error with the path and the remedy, of which msgspec gives path and expectation."""
    located = cast("re.Match[str]", _LOCATED.match(str(error)))
    problem, path = located["problem"], located["path"] or ""
    if path.endswith("[...]"):
        path = path.removesuffix("[...]")
        return InvalidSpec(
            f"spec{path}{_culprit(raw, path, struct)}", _remedy(problem, f"{path}[...]", struct)
        )
    if missing := _MISSING.match(problem):
        return InvalidSpec(f"spec{path}.{missing['field']}", "must be given: it is required")
    return InvalidSpec(f"spec{path}", _remedy(problem, path, struct))


def _culprit(raw: Any, path: str, struct: type[ApiStruct]) -> str:
    """Return `.key` of the entry that is wrong in the map at `path` of `raw`; msgspec does not tell.

    Tries one entry at a time; `raw` is the decoder's own copy, which nobody else reads.
    """
    entries = raw
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        entries = entries[name] if name else entries[int(index)]
    for key, value in list(entries.items()):
        entries.clear()
        entries[key] = value
        if not _fits(raw, struct):
            return f".{key}"
    return ""


def _remedy(problem: str, path: str, struct: type[ApiStruct]) -> str:
    """Turn msgspec's phrase into one that begins with "must"."""
    if problem.startswith("Invalid enum value"):
        return "must be one of " + ", ".join(_schema_at(path, struct).get("enum", ()))
    if bound := _BOUND.match(problem):
        return _bound_remedy(bound)
    if pattern := _PATTERN.match(problem):
        return _pattern_remedy(pattern["pattern"], _schema_at(path, struct))
    if kind := _TYPE.match(problem):
        wanted = " or ".join(_WORDS.get(word.strip(), word) for word in kind["wanted"].split("|"))
        return f"must be {wanted}, not {_WORDS.get(kind['got'], kind['got']).partition(' (')[0]}"
    return f"must be different: {problem}"


def _pattern_remedy(pattern: str, schema: Schema) -> str:
    """Return the words that the CRD has for `pattern`, a Python literal; else the pattern itself."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if literal_eval(pattern) in rule["rule"]:
            return str(rule["message"])
    return f"must match {pattern}"


def _bound_remedy(bound: re.Match[str]) -> str:
    """Turn a bound on a number or a length into words."""
    side = "at least" if bound["sign"] == ">=" else "at most"
    if not bound["length"]:
        return f"must be {side} {bound['limit']}"
    unit = {"str": "characters", "array": "items"}.get(bound["type"], "entries")
    return f"must have {side} {bound['limit']} {unit}"


def _schema_at(path: str, struct: type[ApiStruct]) -> Schema:
    """Return the schema of the field at msgspec's `path`, such as `.rollout.steps[0].approval`."""
    schema = structural_schema(struct, nullable=False)
    for name, index in re.findall(r"\.(\w+)|(\[[^\]]*\])", path):
        if name:
            schema = schema.get("properties", {}).get(name, {})
        elif index:
            schema = schema.get("items") or schema.get("additionalProperties") or {}
    return schema


# --- what can be saved --------------------------------------------------------------------------------------


class _Unreadable:
    """Stands for a value of which nothing can be kept."""


_UNREADABLE: Final = _Unreadable()


def _salvage(raw: Any) -> DecodedStatus:
    """Return the status without its unreadable parts; what is no object at all is dropped as a whole."""
    dropped: list[str] = []
    kept = _readable(raw, ModelDeploymentStatus, "status", dropped)
    if kept is _UNREADABLE:
        return DecodedStatus(ModelDeploymentStatus(), ("status",))
    return DecodedStatus(msgspec.convert(kept, ModelDeploymentStatus), tuple(dropped))


def _readable(value: Any, annotation: Any, path: str, dropped: list[str]) -> Any:
    """Return the part of `value` that fits `annotation`; the paths of the rest are added to `dropped`."""
    if _fits(value, annotation):
        return value
    shape = _shape(annotation)
    kept: Any = _UNREADABLE
    inside: list[str] = []
    if isinstance(shape, type) and issubclass(shape, ApiStruct) and isinstance(value, dict):
        kept = dict(_readable_fields(value, shape, path, inside))
    elif get_origin(shape) is tuple and isinstance(value, list):
        kept = list(_readable_items(value, get_args(shape)[0], path, inside))
    if kept is _UNREADABLE or not _fits(kept, annotation):
        dropped.append(path)
        return _UNREADABLE
    dropped.extend(inside)
    return kept


def _readable_fields(
    value: dict[str, Any], struct: type[ApiStruct], path: str, dropped: list[str]
) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(struct):
        if field.encode_name in value:
            name = field.encode_name
            kept = _readable(value[name], field.type, f"{path}.{name}", dropped)
            if kept is not _UNREADABLE:
                yield name, kept


def _readable_items(value: list[Any], item: Any, path: str, dropped: list[str]) -> Iterator[Any]:
    for index, part in enumerate(value):
        kept = _readable(part, item, f"{path}[{index}]", dropped)
        if kept is not _UNREADABLE:
            yield kept


def _fits(value: Any, annotation: Any) -> bool:
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError:
        return False
    return True


def _shape(annotation: Any) -> Any:
    """Return the type without its constraints and without None."""
    if get_origin(annotation) is Annotated:
        return _shape(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return _shape(parts[0]) if len(parts) == 1 else annotation
    return annotation


# --- the way out --------------------------------------------------------------------------------------------


def _entries(struct: ApiStruct) -> Iterator[tuple[str, Any]]:
    for name, encode_name, default in _defaults(type(struct)):
        value = getattr(struct, name)
        if value != default:
            yield encode_name, _plain(value)


@cache
def _defaults(struct: type[ApiStruct]) -> tuple[tuple[str, str, Any], ...]:
    """Return attribute, JSON name and default of each field; a required field's default equals nothing."""
    return tuple(
        (
            field.name,
            field.encode_name,
            field.default_factory() if callable(field.default_factory) else field.default,
        )
        for field in msgspec.structs.fields(struct)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, ApiStruct):
        return encode(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, str) else value
