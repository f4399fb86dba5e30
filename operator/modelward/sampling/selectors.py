"""Selectors of series, NAME{LABELS}, and sums of them: parsed to their parts, and printed again from the parts alone.

What a user wrote never becomes a part of a query as it is. promql-parser reads it; what is more than a name
and label matchers is refused; `text` writes name and matchers with one function for quoting, and reads the
result back to see that it says the same. (The parser's own printer is not used: with matchers added it
leaves quotes as they are, so a value could end the string, or it forgets what was added.)

Patterns are RE2's in Prometheus, and are run by RE2 here: in linear time, whatever somebody writes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import promql_parser
import re2

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown

MOST_CHARACTERS: Final = 1024
MOST_MATCHERS: Final = 16
MOST_ADDED: Final = 8
_PATTERN_MEMORY: Final = 1 << 18
"""Bytes that a compiled pattern may take; what needs more is refused."""
_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STRING: Final = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_ONE: Final = rf"[A-Za-z_:][A-Za-z0-9_:]*(?:\{{(?:[^\"'`(){{}}]|{_STRING})*\}})?"
_OUTLINE: Final = re.compile(_ONE, re.DOTALL)
_OUTLINE_OF_SUM: Final = re.compile(rf"\s*{_ONE}(?:\s*\+\s*{_ONE})*\s*", re.DOTALL)
"""Checked before the parser runs, which takes seconds for a thousand open brackets."""
_VARIABLE: Final = re.compile(r"(\$?)\$\(([A-Z_][A-Z0-9_]*)\)")
"""As Kubernetes writes a variable in arguments; with two dollars it is none."""
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


NUMBER: Final = "query_part"
"""The label that distinguishes the queries of a union."""


class Operator(StrEnum):
    """How a matcher compares, as it is written."""

    EQUAL = "="
    UNEQUAL = "!="
    MATCHES = "=~"
    MATCHES_NOT = "!~"


_OPERATORS: Final = {
    str(promql_parser.MatchOp.Equal): Operator.EQUAL,
    str(promql_parser.MatchOp.NotEqual): Operator.UNEQUAL,
    str(promql_parser.MatchOp.Re): Operator.MATCHES,
    str(promql_parser.MatchOp.NotRe): Operator.MATCHES_NOT,
}


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label. A label that a series lacks has the empty string."""

    label: str
    operator: Operator
    value: str

    def accepts(self, value: str) -> bool:
        """Whether a label may have this value. Patterns must fit the whole of it."""
        match self.operator:
            case Operator.EQUAL:
                return value == self.value
            case Operator.UNEQUAL:
                return value != self.value
            case Operator.MATCHES:
                return _compiled(self.value)(value) is not None
            case Operator.MATCHES_NOT:
                return _compiled(self.value)(value) is None

    def expanded(self, variables: Mapping[str, str]) -> "Matcher":
        """With $(NAME) in the value as in arguments; what is put into a pattern means itself."""
        pattern = self.operator in (Operator.MATCHES, Operator.MATCHES_NOT)

        def meant(found: re.Match[str]) -> str:
            escaped, name = found.groups()
            if escaped:
                return found[0][1:]
            if name not in variables:
                raise ValueError(f"must not use $({name}): what can be used is {_listed(variables)}")
            return re2.escape(variables[name]) if pattern else variables[name]

        return Matcher(self.label, self.operator, _VARIABLE.sub(meant, self.value))

    def text(self) -> str:
        """As PromQL writes it."""
        return f"{self.label}{self.operator}{quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Selector:
    """A name and conditions on labels."""

    name: str
    matchers: tuple[Matcher, ...] = ()

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series of the name is meant."""
        return all(matcher.accepts(labels.get(matcher.label, "")) for matcher in self.matchers)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that it speaks of, each once."""
        return tuple(dict.fromkeys(matcher.label for matcher in self.matchers))

    def named(self, suffix: str) -> "Selector":
        """The same of another member of the family, such as `_bucket`."""
        return Selector(f"{self.name}{suffix}", self.matchers)

    def also(self, *matchers: Matcher) -> "Selector":
        """With more conditions: all must hold, so ours cannot be undone by what is there."""
        return Selector(self.name, (*self.matchers, *matchers))

    def expanded(self, variables: Mapping[str, str]) -> "Selector":
        """With $(NAME) in values as in arguments. Raises ValueError for a variable that is not there."""
        return Selector(self.name, tuple(matcher.expanded(variables) for matcher in self.matchers))

    def text(self) -> str:
        """As PromQL. Raises ValueError if that would not read as what it is: a bug, never a user's doing."""
        text = f"{self.name}{{{','.join(matcher.text() for matcher in self.matchers)}}}"
        if _read(promql_parser.parse(text)) != self:
            raise ValueError(f"selector does not survive printing: {text!r}")
        return text


@dataclass(frozen=True, slots=True)
class Sum:
    """Counters that are added: successes and failures, say, where a server counts them apart."""

    parts: tuple[Selector, ...]

    def text(self) -> str:
        """As PromQL."""
        return " + ".join(part.text() for part in self.parts)


@lru_cache(maxsize=1024)
def aggregated(operator: str, by: tuple[str, ...] | None, function: str, selector: Selector) -> str:
    """A query of the fixed form `sum by (a, b) (selector)`, with a function around the selector if one is named.

    `by` None keeps all labels. Raises ValueError if it would not read as what it is. Kept, as the same few are asked at
    each poll.
    """
    inner = f"{function}({selector.text()})" if function else selector.text()
    labels = "without ()" if by is None else f"by ({', '.join(by)})"
    query = f"{operator} {labels} ({inner})"
    read: Any = promql_parser.parse(query)
    found = read.expr.args[0] if function else read.expr
    if not isinstance(read, promql_parser.AggregateExpr) or _read(found) != selector:
        raise ValueError(f"query does not survive printing: {query!r}")
    return query


@lru_cache(maxsize=128)
def union(queries: tuple[str, ...]) -> str:
    """All of these queries in one, each with its number as a label; a single one as it is.

    Raises ValueError if it would not read as what it is.
    """
    if len(queries) == 1:
        return queries[0]
    numbered = (
        f'label_replace({each}, "{NUMBER}", "{number}", "", "")' for number, each in enumerate(queries)
    )
    query = " or ".join(numbered)
    read: Any = promql_parser.parse(query)
    for _ in queries[1:]:
        if not isinstance(read, promql_parser.BinaryExpr) or not isinstance(read.rhs, promql_parser.Call):
            raise ValueError(f"query does not survive printing: {query!r}")  # noqa: TRY004 - a bug, not a type's
        read = read.lhs
    return query


def parse_selector(text: str, field: str) -> Selector:
    """The selector in `text`. Raises MetricsUnknown, with a message that begins with the name of the field."""
    return _parsed_parts(text, field, _OUTLINE)[0]


def parse_sum(text: str, field: str) -> Sum:
    """The selector in `text`, or the sum of some. Raises MetricsUnknown as `parse_selector` does."""
    return Sum(_parsed_parts(text, field, _OUTLINE_OF_SUM))


def _parsed_parts(text: str, field: str, outline: re.Pattern[str]) -> tuple[Selector, ...]:
    found = _parsed(text, outline)
    if isinstance(found, str):
        raise MetricsUnknown(Unknown.SELECTOR_INVALID, f"{field}: {found}")
    return found


def _listed(variables: Iterable[str]) -> str:
    return ", ".join(f"$({name})" for name in sorted(variables)) or "none here"


def quoted(value: str) -> str:
    """A string literal of PromQL."""
    return f'"{"".join(_ESCAPES.get(character, character) for character in value)}"'


@lru_cache(maxsize=4096)
def _parsed(text: str, outline: re.Pattern[str]) -> tuple[Selector, ...] | str:
    """The selectors, or what is wrong with them; kept, because the same few are read again and again."""
    if len(text) > MOST_CHARACTERS:
        return f"must have at most {MOST_CHARACTERS} characters"
    if not outline.fullmatch(text):
        return 'must be the name of a metric, with label matchers in braces where needed: name{label="value"}'
    try:
        expression = promql_parser.parse(text)
    except ValueError:
        return "is not PromQL: see whether each label is followed by =, !=, =~ or !~ and a string in quotes"
    try:
        return _added(expression)
    except ValueError as error:
        return str(error)


def _added(expression: Any) -> tuple[Selector, ...]:
    """The selectors that are added. Raises ValueError for anything else. `a + b + c` is read as `(a + b) + c`."""
    parts: list[Any] = []
    while isinstance(expression, promql_parser.BinaryExpr) and str(expression.op) == "+":
        parts.append(expression.rhs)
        expression = expression.lhs
    if len(parts) >= MOST_ADDED:
        raise ValueError(f"must add at most {MOST_ADDED} counters")
    return tuple(_read(part) for part in reversed([*parts, expression]))


def _read(expression: Any) -> Selector:
    """The parts of a parsed expression. Raises ValueError for what is more, or less, than a plain selector."""
    if not isinstance(expression, promql_parser.VectorSelector):
        raise ValueError("must select series by name and labels, without functions, ranges or operators")  # noqa: TRY004 - the user's mistake, not a type's
    if expression.offset is not None or expression.at is not None:
        raise ValueError("must not have offset or @: what counts is the value now")
    if expression.matchers.or_matchers:
        raise ValueError("must not have `or` between label matchers")
    if len(expression.matchers.matchers) > MOST_MATCHERS:
        raise ValueError(f"must have at most {MOST_MATCHERS} label matchers")
    if not expression.name or not _NAME.fullmatch(expression.name):
        raise ValueError("must begin with the name of a metric")
    return Selector(expression.name, tuple(_matcher(each) for each in expression.matchers.matchers))


def _matcher(each: promql_parser.Matcher) -> Matcher:
    if not _LABEL.fullmatch(each.name) or each.name == "__name__":
        raise ValueError(f"must not match the label {each.name!r}")
    operator = _OPERATORS[str(each.op)]
    if any(ord(character) < 32 and character not in _ESCAPES for character in each.value):
        raise ValueError(f"must not have control characters in the value of {each.name}")
    if operator in (Operator.MATCHES, Operator.MATCHES_NOT):
        try:
            _compiled(each.value)
        except re2.error as error:
            raise ValueError(f"must have a pattern that RE2 takes for {each.name}") from error
    return Matcher(each.name, operator, each.value)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Callable[[str], Any]:
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    options.dot_nl = True  # as Prometheus anchors them: ^(?s:PATTERN)$
    options.never_capture = True
    fullmatch: Callable[[str], Any] = re2.compile(pattern, options).fullmatch
    return fullmatch
