"""Hypothesis strategies for JSON that fits a type of the resource, made from the type itself."""

from typing import Any

import msgspec.inspect as types
from hypothesis import strategies as st

from modelward.api.fields import ApiStruct

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
"""Anything that the API server could send for a field without a schema."""


def objects(struct: type[ApiStruct]) -> st.SearchStrategy[dict[str, Any]]:
    """Return JSON objects that decode to `struct`: required fields always, the others now and then."""
    node = types.type_info(struct)
    assert isinstance(node, types.StructType)
    return _object(node)


def _object(node: types.StructType) -> st.SearchStrategy[dict[str, Any]]:
    required = {field.encode_name: _values(field.type) for field in node.fields if field.required}
    optional = {field.encode_name: _values(field.type) for field in node.fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional)


def _values(node: types.Type) -> st.SearchStrategy[Any]:
    match node:
        case types.Metadata():
            return _values(node.type)
        case types.UnionType():
            return st.one_of([_values(part) for part in node.types])
        case types.StructType():
            return _object(node)
        case types.VarTupleType():
            return st.lists(_values(node.item_type), min_size=node.min_length or 0, max_size=3)
        case types.DictType():
            return st.dictionaries(_values(node.key_type), _values(node.value_type), max_size=3)
        case _:
            return _scalars(node)


def _scalars(node: types.Type) -> st.SearchStrategy[Any]:
    match node:
        case types.EnumType():
            return st.sampled_from([member.value for member in node.cls])
        case types.IntType():
            return st.integers(node.ge, node.le)
        case types.StrType():
            return _strings(node)
        case types.BoolType():
            return st.booleans()
        case types.NoneType():
            return st.none()
        case _:
            raise AssertionError(node)


def _strings(node: types.StrType) -> st.SearchStrategy[str]:
    longest = min(node.max_length or 40, 40)
    if node.pattern is None:
        return st.text(min_size=node.min_length or 0, max_size=longest)
    # In Python `$` also matches before a final newline, which RE2 at the API server refuses.
    return st.from_regex(node.pattern, fullmatch=True).filter(
        lambda text: (
            not text.endswith("\n") and (node.min_length or 0) <= len(text) <= (node.max_length or 40)
        )
    )
