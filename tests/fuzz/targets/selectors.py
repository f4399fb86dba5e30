"""Selectors that users write into queries of everybody's metrics."""

from typing import Any, Final

import promql_parser

from fuzz.source import Source
from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.sampling.selectors import Matcher, Operator, Selector, aggregated, parse_selector, quoted

SEEDS: Final = (
    "requests_total",
    'errors_total{code=~"5..",handler!="/healthz"}',
    'feedback_total{kind="down"}',
    'a:b{c!~"x|y"}',
    "a{b='c', d=`e`}",
    'a{b="\\"} or up{c=\\""}',
    'a{b="c" or d="e"}',
    'a{namespace="other",namespace=~".*"}',
    'a{__name__="b"}',
    '{__name__="b"}',
    "a{} offset 5m",
    "a @ 0",
    "sum(a)",
    "a[5m]",
    "a # b",
    'a{b="\\u2028\\x41\\101"}',
    'a{b=~"(a*)*$"}',
    'a{b=~"[[:alpha:]]+\\\\p{Greek}"}',
)
_OURS: Final = (
    Matcher("namespace", Operator.EQUAL, "shop"),
    Matcher("pod", Operator.MATCHES, "fraud-bcdfghjklm-[a-z0-9-]{5,16}"),
)


def parsed(data: bytes) -> None:
    """Refused in our words; or printed and read it is the same, and with our conditions it stays in our namespace."""
    source = Source(data)
    text = source.mutated(SEEDS)
    selector = _selector(text)
    if isinstance(selector, MetricsUnknown):
        assert selector.problem.message.startswith("hits: "), selector
        return
    assert parse_selector(selector.text(), "hits") == selector
    held = selector.also(*_OURS)
    check_query(aggregated("sum", ("namespace", "pod", "le"), source.pick(("", "timestamp")), held), held)
    for value in (source.text(), source.word()):
        labels = {matcher.label: value for matcher in selector.matchers}
        assert not held.accepts({**labels, "namespace": "other", "pod": "fraud-bcdfghjklm-abcde-fghij"})
    check_literal(source.text(200))


def _selector(text: str) -> Selector | MetricsUnknown:
    try:
        return parse_selector(text, "hits")
    except MetricsUnknown as unknown:
        return unknown


def check_query(query: str, selector: Selector) -> None:
    """The server reads one sum of one series, of our namespace, by the words that it knows."""
    read: Any = promql_parser.parse(query)
    assert isinstance(read, promql_parser.AggregateExpr)
    inner: Any = read.expr
    while not isinstance(inner, promql_parser.VectorSelector):
        (inner,) = inner.args
    assert inner.name == selector.name
    found = [(each.name, each.op, each.value) for each in inner.matchers.matchers]
    assert ("namespace", promql_parser.MatchOp.Equal, "shop") in found, query
    assert not inner.matchers.or_matchers
    assert len(found) == len(selector.matchers)


def check_literal(text: str) -> None:
    """A string is read as what it is, whatever it holds; nothing follows it."""
    if any(ord(character) < 32 and character not in "\n\r\t" for character in text):
        return  # refused before it comes to that
    read: Any = promql_parser.parse(f"a{{b={quoted(text)}}}")
    assert [each.value for each in read.matchers.matchers] == [text]
