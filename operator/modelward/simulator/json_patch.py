"""JSON Patch as far as the operator uses it: test, add and remove (RFC 6902, pointers by RFC 6901)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Mismatch(Exception):
    """The document is not what a `test` says; nothing of the patch is done."""


def patched(document: Mapping[str, Any], operations: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A copy of `document` with the operations carried out.

    Raises Mismatch, and LookupError where a parent is missing.
    """
    result: dict[str, Any] = copied(document)
    for operation in operations:
        *parents, last = [_unescaped(part) for part in operation["path"].split("/")[1:]]
        target: Any = result
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        match operation["op"]:
            case "test":
                found = target[int(last)] if isinstance(target, list) else target.get(last)
                if found != operation["value"]:
                    raise Mismatch(f"{operation['path']} is {found!r}, not {operation['value']!r}")
            case "add":
                target[last] = operation["value"]
            case "remove":
                del target[int(last) if isinstance(target, list) else last]
            case other:
                raise ValueError(f"JSON Patch {other!r} is not known here")
    return result


def copied(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in depth of a JSON object, as it would come over the wire."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return copy


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
