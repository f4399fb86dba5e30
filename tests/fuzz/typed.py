"""JSON for a type of the resource: what the API server lets through, or nearly so."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import msgspec.inspect as types

from fuzz import words
from fuzz.source import Source
from modelward.api.fields import ApiStruct

_KEYS: Final = "x-kubernetes-list-map-keys"


def typed(source: Source, struct: type[ApiStruct], *, spoiled: bool = False) -> dict[str, Any]:
    """A JSON object that decodes to `struct`; `spoiled`: now and then a part of it is something else."""
    node = _node(struct)
    assert isinstance(node, types.StructType)
    return _Writer(source, spoiled=spoiled).struct(node)


@cache
def _node(struct: type[ApiStruct]) -> types.Type:
    return types.type_info(struct)


class _Writer:
    """The walk from types to values."""

    def __init__(self, source: Source, *, spoiled: bool) -> None:
        self._source = source
        self._spoiled = spoiled

    def value(self, node: types.Type, extra: dict[str, Any]) -> Any:
        """A value of the type, or now and then anything."""
        if self._spoiled and self._source.chance(48):
            return self._source.json()
        if isinstance(node, types.Metadata):
            return self.value(node.type, {**extra, **(node.extra_json_schema or {})})
        if isinstance(node, types.UnionType):
            return self.value(self._source.pick(_without_none(node)), extra)
        if isinstance(node, types.VarTupleType):
            return self._list(node, extra)
        return self._single(node)

    def _single(self, node: types.Type) -> Any:
        match node:
            case types.StructType():
                return self.struct(node)
            case types.DictType():
                return self._map(node)
            case _:
                return self._scalar(node)

    def struct(self, node: types.StructType) -> dict[str, Any]:
        """An object: required fields always, of the others more or fewer."""
        often = self._source.pick((4, 2, 8))
        made = {
            field.encode_name: self.value(field.type, {})
            for field in node.fields
            if (field.required and not (self._spoiled and self._source.chance(64)))
            or self._source.chance(often)
        }
        if self._spoiled and self._source.chance(64):
            made[self._source.text()] = self._source.json()
        return made

    def _list(self, node: types.VarTupleType, extra: dict[str, Any]) -> list[Any]:
        items = self._source.many(lambda: self.value(node.item_type, {}), node.max_length or 20)
        while len(items) < (node.min_length or 0):
            items.append(self.value(node.item_type, {}))
        if not self._spoiled and (keys := extra.get(_KEYS)):
            return list({tuple(item.get(key) for key in keys): item for item in items}.values())
        return items

    def _map(self, node: types.DictType) -> dict[str, Any]:
        pairs = self._source.many(
            lambda: (self.value(node.key_type, {}), self.value(node.value_type, {})), node.max_length or 20
        )
        return {key: value for key, value in pairs if isinstance(key, str)}

    def _scalar(self, node: types.Type) -> Any:
        match node:
            case types.EnumType():
                return self._source.pick([str(member.value) for member in node.cls])
            case types.BoolType():
                return self._source.chance()
            case types.IntType():
                return self._integer(node)
            case types.StrType():
                return self._source.pick(strings(node.pattern, node.min_length or 0, node.max_length or 40))
            case _:
                raise AssertionError(node)

    def _integer(self, node: types.IntType) -> int:
        least, most = node.ge or 0, node.le if node.le is not None else 2**53
        beyond = self._source.between(-1, 1) if self._spoiled and self._source.chance(32) else 0
        number = self._source.between(least, most)
        return number + beyond


def _without_none(node: types.UnionType) -> list[types.Type]:
    return [part for part in node.types if not isinstance(part, types.NoneType)]


@cache
def strings(pattern: str | None, least: int, most: int) -> tuple[str, ...]:
    """Strings that fit: of the awkward words, and of the greatest length. At least one."""
    fits = re.compile(pattern or "", re.DOTALL)
    found = [
        text
        for text in (*words.WORDS, *_at_length(most))
        # In Python `$` also matches before a final newline, which RE2 at the API server refuses.
        if least <= len(text) <= most and fits.search(text) and not (pattern and text.endswith("\n"))
    ]
    assert found, f"no word fits {pattern}"
    return tuple(found)


def _at_length(most: int) -> Iterator[str]:
    """Texts of the greatest length that fit one pattern or another."""
    for begin in ("a", "A", "/", "s3://", "hf://", "a.", "0", 'a{b="', "\U0001f600"):
        room = most - len(begin)
        if room > 0:
            yield begin + "a" * room
            yield (begin + "a-" * room)[: most - 1] + "a"
    yield "\U0001f600" * most
    yield 'a{b="' + "\U0001f600" * max(0, most - 7) + '"}'
