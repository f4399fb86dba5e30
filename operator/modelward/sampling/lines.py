"""Lines of a metrics page: the series of a few names, out of thousands of others.

Formats: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4, OpenMetrics 1.0). A page of
200 KiB takes prometheus-client's parser tens of milliseconds; here lines of other names are passed over with
one comparison, and labels that were seen before are not taken apart again. A test holds both readings equal.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown

_LABEL: Final = re.compile(
    r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?:,|$)', re.DOTALL
)
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?inf|nan", re.IGNORECASE
)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_BLANK: Final = " \t"
_BYTE_ORDER: Final = "\ufeff"
"""What some programs put before any text (BOM)."""

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One series and its value."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says of the names that were asked for."""

    series: Mapping[str, list[Line]]
    """By name; a name without series is absent."""
    types: Mapping[str, frozenset[str]]
    """By the name of a family: what the page says that it is, which should be one thing."""


def read_page(text: str, names: Collection[str], facts: Collection[str] = ()) -> Page:
    """The series of `names`, and of `facts`, of which a broken line costs no more than the fact.

    Raises MetricsUnknown if the text is no page of metrics, or a line of `names` is broken.
    """
    series: dict[str, list[Line]] = {}
    types: dict[str, set[str]] = {}
    beginnings = (*names, *facts)
    broken: set[str] = set()
    is_page = False
    for raw in text.removeprefix(_BYTE_ORDER).split("\n"):
        line = raw.lstrip(_BLANK) if raw[:1] in _BLANK else raw
        if line.startswith(beginnings):
            name = _name(line)
            try:
                if name in names or name in facts:
                    series.setdefault(name, []).append(_read(name, line))
            except MetricsUnknown:
                if name in names:
                    raise
                broken.add(name)
        elif line.startswith("# TYPE "):
            family, _, kind = line[7:].strip().partition(" ")
            types.setdefault(family, set()).add(kind.strip())
        elif not is_page and line not in ("", "\r") and not line.startswith("#"):
            _read(_name(line), line)  # a page of something else shows at its first line
            is_page = True
    shown = {name: lines for name, lines in series.items() if lines and name not in broken}
    return Page(shown, {family: frozenset(kinds) for family, kinds in types.items()})


def _name(line: str) -> str:
    end = len(line)
    for mark in "{ \t":
        at = line.find(mark, 0, end)
        end = at if at >= 0 else end
    return line[:end]


def _read(name: str, line: str) -> Line:
    rest = line[len(name) :].lstrip(_BLANK)
    labels: Labels = {}
    if rest.startswith("{"):
        end = _closing(rest)
        labels, rest = _labels(rest[1:end]), rest[end + 1 :]
    parts = rest.split(None, 1)
    if not name or not parts or not _NUMBER.fullmatch(parts[0]):
        raise _broken()
    return Line(name, labels, float(parts[0]))


def _closing(rest: str) -> int:
    """Where the labels end: at the first brace that is in no string."""
    end = rest.find("}")
    if end >= 0 and rest.count('"', 0, end) % 2 == 0 and "\\" not in rest[:end]:
        return end
    inside = escaped = False
    for at, character in enumerate(rest):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = inside
        elif character == '"':
            inside = not inside
        elif character == "}" and not inside:
            return at
    raise _broken()


@lru_cache(maxsize=8192)
def _labels(text: str) -> Labels:
    """The labels in braces; kept, because the same come with every reading."""
    labels: dict[str, str] = {}
    at = 0
    while at < len(text.rstrip(_BLANK)):
        found = _LABEL.match(text, at)
        if not found or found[1] in labels:
            raise _broken()
        labels[found[1]] = _ESCAPE.sub(_meant, found[2]) if "\\" in found[2] else found[2]
        at = found.end()
    return labels


def _meant(escape: re.Match[str]) -> str:
    return {"n": "\n", "\\": "\\", '"': '"'}.get(escape[1], escape[0])


def _broken() -> MetricsUnknown:
    return MetricsUnknown(Unknown.NOT_METRICS, "the page is no text of metrics, or a line of it is broken")
