"""Pages of metrics that nobody can use: what a server's `/metrics` does wrong, on demand."""

import re

NAN = "nan"
FALLING = "falling"
HANGING = "hanging"
FLOODING = "flooding"
MODES = ("", NAN, FALLING, HANGING, FLOODING)
FLOOD = b"# " + b"x" * 2**16 + b"\n"
"""Sent again and again."""

_MANY = 1_000_000
_LESS = 1_000
_VALUE = re.compile(r"^(model_[^ ]+) ([^ ]+)$", re.MULTILINE)
_CASES = re.compile(r"^model_(requests_total|.*_(bucket|count))(\{|$)")


def lied(text: str, mode: str, reading: int) -> str:
    """The page with values that no counter can have; `reading` shows how often it was read before."""
    if mode == NAN:
        return _VALUE.sub(r"\1 NaN", text)
    if mode == FALLING:
        return _VALUE.sub(lambda line: _fallen(line, reading), text)
    return text


def _fallen(line: re.Match[str], reading: int) -> str:
    """A million good cases, and fewer with each reading; errors stay what they are."""
    series, value = line.groups()
    if not _CASES.match(series):
        return line.group()
    return f"{series} {float(value) + max(0, _MANY - _LESS * reading)}"
