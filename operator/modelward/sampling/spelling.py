"""Selectors that mean nothing of what a page shows: what is understood, and what is said about the rest.

A selector that matches no series reads as "no case", which is what a healthy server shows, too. So whatever could never
match is distinguished from what has not happened yet: the name of a family for that of its counter, a label that no series
of the name has, a value that none of them has.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.api.printable import printable
from modelward.sampling.lines import Line, Page
from modelward.sampling.selectors import Matcher, Operator, Selector, quoted
from modelward.sampling.targets import RatioTarget

_TOTAL: Final = "_total"
_MOST_LABELS: Final = 8
_LONGEST_VALUE: Final = 60

Seen = Mapping[str, frozenset[str]]
"""Labels by the name of the series that have them."""


def spellings(name: str) -> tuple[str, str]:
    """The name of a counter, with and without the suffix that OpenMetrics leaves out in the name of its family."""
    return name, name.removesuffix(_TOTAL) if name.endswith(_TOTAL) else name + _TOTAL


def as_shown(page: Page, selector: Selector) -> Selector:
    """The selector by the name that the page has: of the family, or of its counter."""
    name, other = spellings(selector.name)
    if name in page.series or other not in page.series:
        return selector
    if name.endswith(_TOTAL) and page.types.get(other) != frozenset({"counter"}):
        return selector  # whatever is called so may be something else
    return Selector(other, selector.matchers)


def labels_of(page: Page, wanted: RatioTarget) -> Seen:
    """The labels that there are on any series of each name, by the name that was asked for; absent: no series."""
    names = {part.name: as_shown(page, part).name for part in (*wanted.hits.parts, *wanted.total.parts)}
    return {
        asked: frozenset(label for line in page.series[shown] for label in line.labels)
        for asked, shown in names.items()
        if shown in page.series
    }


def together(seen: Iterable[Seen]) -> Seen:
    """The labels of several pages."""
    merged: dict[str, frozenset[str]] = {}
    for page in seen:
        for name, labels in page.items():
            merged[name] = merged.get(name, frozenset()) | labels
    return merged


def without_labels(seen: Seen, wanted: RatioTarget) -> MetricsUnknown | None:
    """That there are series of a name, none of which has a label that the selector needs; None: it is not so."""
    for part in (*wanted.hits.parts, *wanted.total.parts):
        there = seen.get(part.name)
        if there is None:
            continue
        of_hits = part in wanted.hits.parts
        for matcher in part.matchers:
            if matcher.label not in there and _needs_label(matcher, of_hits=of_hits):
                return MetricsUnknown(
                    Unknown.METRIC_MISSING,
                    f"metric {wanted.name}: no series {part.name} has the label {matcher.label}; {_labels(there)}",
                )
    return None


def _needs_label(matcher: Matcher, *, of_hits: bool) -> bool:
    """Whether a condition on a label that no series has says nothing of the cases.

    What must have some value is then never met. What must not have some value is met by whatever lacks the label, which is
    harmless for what is left out of a total, and makes every case a hit.
    """
    negative = matcher.operator in (Operator.UNEQUAL, Operator.MATCHES_NOT)
    return not matcher.accepts("") or (of_hits and negative)


def _labels(there: Iterable[str]) -> str:
    names = sorted(there)
    if not names:
        return "they have no labels"
    more = ", ..." if len(names) > _MOST_LABELS else ""
    return f"their labels are {', '.join(names[:_MOST_LABELS])}{more}"


def unmeant(page: Page, wanted: RatioTarget) -> MetricsUnknown | None:
    """That the page has series of the total's names, of which none is meant, with the nearest; None: it is not so."""
    parts = [as_shown(page, part) for part in wanted.total.parts]
    lines = [(part, line) for part in parts for line in page.series.get(part.name, ())]
    if not lines or any(part.accepts(line.labels) for part, line in lines):
        return None
    part, line = min(lines, key=lambda each: _distance(*each))
    return MetricsUnknown(
        Unknown.METRIC_MISSING,
        f"metric {wanted.name}: no series fits {part.text()}; the nearest is {_as_asked(part, line)}",
    )


def _distance(selector: Selector, line: Line) -> tuple[int, list[tuple[str, str]]]:
    """How many conditions a series does not fulfil; among equals its labels decide, so that the words stay the same."""
    failed = sum(not matcher.accepts(line.labels.get(matcher.label, "")) for matcher in selector.matchers)
    return failed, sorted(line.labels.items())


def _as_asked(selector: Selector, line: Line) -> str:
    """The series by the labels that were asked for: nothing else that the server wrote is repeated."""
    shown = (
        f"{label}={quoted(_short(line.labels[label]))}" for label in selector.labels if label in line.labels
    )
    return f"{line.name}{{{','.join(shown)}}}"


def _short(value: str) -> str:
    text = printable(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
