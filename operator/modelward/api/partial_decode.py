"""The readable part of a JSON object that does not fit its type as a whole."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec
import msgspec.inspect as types

from modelward.api.fields import ApiStruct


class _Unreadable:
    """Stands for a value of which nothing can be kept."""


UNREADABLE: Final = _Unreadable()


def readable(value: Any, annotation: Any, path: str, dropped: list[str]) -> Any:
    """Return the part of `value` that fits `annotation`; the paths of the rest are added to `dropped`."""
    if fits(value, annotation):
        return value
    shape = _shape(annotation)
    kept: Any = UNREADABLE
    inside: list[str] = []
    if isinstance(shape, type) and issubclass(shape, ApiStruct) and isinstance(value, dict):
        kept = dict(_readable_fields(value, shape, path, inside))
    elif get_origin(shape) is tuple and isinstance(value, list):
        kept = list(_readable_items(value, get_args(shape)[0], path, inside))
        if (most := _most_items(annotation)) is not None and len(kept) > most:
            # Lists of the past are newest first, so that the end is what is least missed.
            kept = kept[:most]
            inside.append(f"{path}[{most}:]")
    if kept is UNREADABLE or not fits(kept, annotation):
        dropped.append(path)
        return UNREADABLE
    dropped.extend(inside)
    return kept


def _readable_fields(
    value: dict[str, Any], struct: type[ApiStruct], path: str, dropped: list[str]
) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(struct):
        if field.encode_name in value:
            name = field.encode_name
            kept = readable(value[name], field.type, f"{path}.{name}", dropped)
            if kept is not UNREADABLE:
                yield name, kept


def _readable_items(value: list[Any], item: Any, path: str, dropped: list[str]) -> Iterator[Any]:
    for index, part in enumerate(value):
        kept = readable(part, item, f"{path}[{index}]", dropped)
        if kept is not UNREADABLE:
            yield kept


def fits(value: Any, annotation: Any) -> bool:
    """Whether `value` decodes to `annotation`."""
    try:
        msgspec.convert(value, annotation)
    except (msgspec.ValidationError, UnicodeError):
        return False
    return True


def _most_items(annotation: Any) -> int | None:
    """Return the bound on the length of a list; None if it has none."""
    node = types.type_info(annotation)
    while isinstance(node, types.Metadata):
        node = node.type
    return node.max_length if isinstance(node, types.VarTupleType) else None


def _shape(annotation: Any) -> Any:
    """Return the type without its constraints and without None."""
    if get_origin(annotation) is Annotated:
        return _shape(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return _shape(parts[0]) if len(parts) == 1 else annotation
    return annotation
