"""What cannot be decoded as it is sent: values that are nested a thousand levels deep."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.clients.decoding import DEPTH, shallow

MOST: int = 10_000
"""Levels that the API server takes."""


def nested(levels: int, *, lists: bool = False) -> bytes:
    """An object in an object in an object; or lists."""
    begin, end = (b"[", b"]") if lists else (b'{"f:a":', b"}")
    return begin * levels + b"1" + end * levels


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("levels", [1_500, MOST])
def test_what_is_too_deep_is_left_out(levels: int, *, lists: bool) -> None:
    """What is beside it stays, before and after, and brackets in strings are no brackets."""
    deep = nested(levels, lists=lists)
    data = b'{"a":"}]\\"{","deep":%s,"b":["[",{"c":2}]}' % deep
    with pytest.raises(RecursionError):
        msgspec.json.decode(data)
    found = msgspec.json.decode(shallow(data))
    assert {key: found[key] for key in ("a", "b")} == {"a": '}]"{', "b": ["[", {"c": 2}]}
    assert shallow(data).count(b"[" if lists else b"f:a") <= DEPTH + 2


@given(st.recursive(st.none() | st.text() | st.floats(allow_nan=False), st.lists))
def test_what_can_be_decoded_is_left_alone(value: object) -> None:
    """Byte by byte."""
    data = json.dumps(value).encode()
    assert shallow(data) == data


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"a":', nested(MOST)[:-1], b"]]]", b"[" * MOST])
def test_what_is_no_json_is_somebody_elses_matter(data: bytes) -> None:
    """It is refused by whoever decodes it, in the usual way."""
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(shallow(data))
