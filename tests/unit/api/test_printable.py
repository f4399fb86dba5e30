"""What somebody wrote, as text that can be shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.api.printable import printable, printable_lines
from modelward.api.status import clip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Größe 5, 日本, 100 % ✓", "Größe 5, 日本, 100 % ✓", id="what is printed stays"),
        pytest.param("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m", id="an escape sequence"),
        pytest.param("one\r\ntwo", r"one\r\ntwo", id="a line break"),
        pytest.param("one\x85two\u2028three", r"one\x85two\u2028three", id="line breaks of Unicode"),
        pytest.param("\x9b31m", r"\x9b31m", id="an escape sequence in one character (C1)"),
        pytest.param("a\u202egnp.exe", r"a\u202egnp.exe", id="text that runs backwards"),
        pytest.param("a\u2066b\u2069\u200f", r"a\u2066b\u2069\u200f", id="isolates and marks of direction"),
        pytest.param("ad\u200bmin\ufeff", r"ad\u200bmin\ufeff", id="nothing, in between"),
        pytest.param("a\x00b\x7f", r"a\x00b\x7f", id="NUL and DEL"),
        pytest.param("\ud800", r"\ud800", id="half a character"),
        pytest.param(r"\x1b", r"\x1b", id="a backslash stays"),
    ],
)
def test_it_shows_what_it_says(text: str, shown: str) -> None:
    """Nothing in it acts upon whoever reads it."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_once_is_enough(text: str) -> None:
    """Status is read and written again and again: it must not change by that."""
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


def test_lines_stay_lines() -> None:
    """What is meant to have several keeps them, and a carriage return does not overwrite one."""
    assert printable_lines("one\ntwo\rthree\n") == "one\ntwo\\rthree\n"


def test_a_message_of_status_is_printable_and_short() -> None:
    """Escapes are longer than what they stand for: they are counted."""
    assert clip("\x1b" * 1000, 10) == "\\x1b\\x1b\\" + "\N{HORIZONTAL ELLIPSIS}"
