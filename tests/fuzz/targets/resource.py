"""conversion of the resource: spec, status and runtimes, as JSON that anybody may have written."""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from fuzz.source import Source
from fuzz.typed import typed
from modelward.api.crd.schema import structural_schema
from modelward.api.decode import decode_runtime, decode_spec, decode_status, encode
from modelward.api.fields import ApiStruct
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.revision import HASH_LENGTH, revision_fields, revision_hash
from modelward.api.status import ModelDeploymentStatus
from modelward.api.status_size import within_limit
from modelward.errors import InvalidSpec
from modelward.rollout.status_repair import repaired

Read = TypeVar("Read", bound=ApiStruct)
_STEP: Final = re.compile(r"\.(\w+)|\[\d+\]")
_SCHEMAS: Final[dict[type[ApiStruct], dict[str, Any]]] = {
    struct: structural_schema(struct, nullable=True) for struct in (ModelDeploymentSpec, ModelRuntimeSpec)
}


def spec(data: bytes) -> None:
    """A spec, or an InvalidSpec that names a field there is. What is read is written and read back the same."""
    source = Source(data)
    spoiled = source.chance()
    raw = typed(source, ModelDeploymentSpec, spoiled=spoiled)
    read = attempt(decode_spec, raw)
    if isinstance(read, InvalidSpec):
        assert spoiled, f"refused what the schema takes: {read}"
        check_problem(read, ModelDeploymentSpec)
        return
    check_round_trip(read, decode_spec)
    check_revision(raw)


def runtime(data: bytes) -> None:
    """The same of a runtime."""
    source = Source(data)
    spoiled = source.chance()
    raw = typed(source, ModelRuntimeSpec, spoiled=spoiled)
    read = attempt(decode_runtime, raw)
    if isinstance(read, InvalidSpec):
        assert spoiled, f"refused what the schema takes: {read}"
        check_problem(read, ModelRuntimeSpec)
        return
    check_round_trip(read, decode_runtime)


def anything(data: bytes) -> None:
    """Any JSON object for a spec, a runtime and a status: read, or refused in our words, or salvaged."""
    source = Source(data)
    names = [field.encode_name for field in msgspec.structs.fields(ModelDeploymentSpec)]
    raw = {source.pick(names) if source.chance() else source.text(): source.json(5) for _ in range(3)}
    for read, struct in (
        (attempt(decode_spec, raw), ModelDeploymentSpec),
        (attempt(decode_runtime, raw), ModelRuntimeSpec),
    ):
        if isinstance(read, InvalidSpec):
            check_problem(read, struct)
    check_status(raw)
    check_revision(raw)


def status(data: bytes) -> None:
    """All of a status that fits is read; what is read needs no partial decoding; repairing is done once; it can be made small."""
    source = Source(data)
    spoiled = source.chance()
    raw = typed(source, ModelDeploymentStatus, spoiled=spoiled)
    dropped = check_status(raw)
    assert spoiled or not dropped, dropped
    made = repaired(decode_status(raw).status)
    assert repaired(made) == made
    small = within_limit(made)
    assert within_limit(small) == small
    assert decode_status(encode(small)) == (small, ())
    kept = ("stable_revision", "canary_revision", "previous_revision", "rollout", "decision", "commands")
    assert all(getattr(small, name) == getattr(made, name) for name in kept)


def attempt(decode: Callable[[dict[str, Any]], Read], raw: dict[str, Any]) -> Read | InvalidSpec:
    """What is read, or why it is refused."""
    try:
        return decode(raw)
    except InvalidSpec as error:
        return error


def check_status(raw: dict[str, Any]) -> tuple[str, ...]:
    """Read a status, and see that what was read is whole; returns the paths that were dropped."""
    read, dropped = decode_status(raw)
    assert all(re.match(r"status($|[.\[])", path) for path in dropped), dropped
    assert decode_status(encode(read)) == (read, ())
    return dropped


def check_problem(error: InvalidSpec, struct: type[ApiStruct]) -> None:
    """The path leads to a field of the schema, the message says how it must be."""
    assert error.message.startswith("must "), error
    assert not error.message.startswith("must be different"), error
    assert error.path.startswith("spec"), error
    node, rest = _SCHEMAS[struct], error.path.removeprefix("spec")
    while rest:
        if "additionalProperties" in node:
            assert rest.startswith("."), error
            return  # the rest is a key, which may have dots of its own
        step = _STEP.match(rest)
        assert step, error
        node = node["properties"][step[1]] if step[1] else node["items"]
        rest = rest[step.end() :]


def check_round_trip(read: ApiStruct, decode: Any) -> None:
    """Written out and read back it is the same, and writing again changes nothing."""
    written = encode(read)
    assert decode(written) == read
    assert encode(decode(written)) == written
    assert msgspec.json.decode(msgspec.json.encode(written)) == written


def check_revision(raw: dict[str, Any]) -> None:
    """The name of a revision depends on what is said, not on the order or on what is null."""
    fields = revision_fields(raw)
    name = revision_hash(fields)
    assert len(name) == HASH_LENGTH
    assert name == revision_hash(revision_fields(_turned(raw)))
    assert revision_fields(fields) == fields


def _turned(value: Any) -> Any:
    """The same with keys in another order and nulls between them."""
    if isinstance(value, dict):
        return {"null and void": None, **{key: _turned(value[key]) for key in reversed(value)}}
    if isinstance(value, list):
        return [_turned(item) for item in value]
    return value
