"""The one door between Kubernetes' JSON and typed values.

Spec is the user's: what is wrong with it is said, with the field's path. Status is the operator's own
memory: what cannot be read of it (another version wrote it, or a hand) is dropped and the rest is kept.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from modelward.api.decode_errors import explained
from modelward.api.fields import ApiStruct
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.partial_decode import UNREADABLE, readable
from modelward.api.status import ModelDeploymentStatus
from modelward.errors import InvalidSpec

Struct = TypeVar("Struct", bound=ApiStruct)

_ALL_FIELDS: Final = frozenset(each.encode_name for each in msgspec.structs.fields(ModelDeploymentSpec))


class DecodedStatus(NamedTuple):
    """A status, and the paths (`status.rollout.step`) of what could not be read of it."""

    status: ModelDeploymentStatus
    dropped: tuple[str, ...]


class PartialSpec(NamedTuple):
    """A spec, and its fields (`rollout`) of which something could not be read."""

    spec: ModelDeploymentSpec
    unreadable: frozenset[str]


def decode_spec(spec: Mapping[str, Any]) -> ModelDeploymentSpec:
    """Return the spec of a ModelDeployment. Raises InvalidSpec."""
    return _decode(spec, ModelDeploymentSpec)


def decode_partially(spec: Mapping[str, Any]) -> PartialSpec:
    """Return what can be read of a spec that `decode_spec` refuses. Never raises."""
    dropped: list[str] = []
    try:
        kept = readable(without_nulls(spec), ModelDeploymentSpec, "spec", dropped)
    except RecursionError:
        kept = UNREADABLE
    if kept is UNREADABLE:
        return PartialSpec(ModelDeploymentSpec(), _ALL_FIELDS)
    return PartialSpec(msgspec.convert(kept, ModelDeploymentSpec), frozenset(map(_field, dropped)))


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
    except (
        msgspec.ValidationError,
        UnicodeError,
    ):  # half a surrogate pair is text in JSON, and no text in UTF-8
        return _partial(plain)
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
        raise explained(error, plain, struct) from error
    except RecursionError as error:
        raise InvalidSpec("spec", "must not be nested a thousand levels deep") from error


def _field(path: str) -> str:
    """`rollout` of `spec.rollout.steps[0]`."""
    return path.split(".")[1].partition("[")[0]


def _partial(raw: Any) -> DecodedStatus:
    """Return the status without its unreadable parts; what is no object at all is dropped as a whole."""
    dropped: list[str] = []
    kept = readable(raw, ModelDeploymentStatus, "status", dropped)
    if kept is UNREADABLE:
        return DecodedStatus(ModelDeploymentStatus(), ("status",))
    return DecodedStatus(msgspec.convert(kept, ModelDeploymentStatus), tuple(dropped))


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
