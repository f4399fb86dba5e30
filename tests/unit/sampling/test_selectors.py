"""Selectors are parsed, bounded, and printed so that they read as what they are, whatever stands in them."""

import string

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.sampling.selectors import Matcher, Operator, Selector, aggregated, parse_selector

VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(c) for c in range(32)]))
LABELS = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True).filter(lambda name: name != "__name__")
NAMES = st.from_regex(r"[a-z_:][a-z0-9_:]{3,12}", fullmatch=True).filter(
    lambda name: (
        name not in {"group_left", "group_right", "ignoring", "without", "offset", "bool", "quantile"}
    )
)


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        pytest.param("up", Selector("up"), id="a name alone"),
        pytest.param("up{}", Selector("up"), id="empty braces"),
        pytest.param(
            'a_total{code=~"5..",path!="/x"}',
            Selector(
                "a_total", (Matcher("code", Operator.MATCHES, "5.."), Matcher("path", Operator.UNEQUAL, "/x"))
            ),
            id="two matchers",
        ),
        pytest.param(
            "a{b='it\\'s'}", Selector("a", (Matcher("b", Operator.EQUAL, "it's"),)), id="single quotes"
        ),
        pytest.param("a{b=`x\\n`}", Selector("a", (Matcher("b", Operator.EQUAL, "x\\n"),)), id="raw string"),
        pytest.param(
            ':tensorflow:serving:request_count{status!="OK"}',
            Selector(":tensorflow:serving:request_count", (Matcher("status", Operator.UNEQUAL, "OK"),)),
            id="colons",
        ),
    ],
)
def test_what_is_written_is_read(text: str, selector: Selector) -> None:
    """Its name and its matchers, in their order; printing it gives the same again."""
    assert parse_selector(text, "f") == selector
    assert parse_selector(selector.text(), "f") == selector


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("sum(up)", id="a function"),
        pytest.param("up[5m]", id="a range"),
        pytest.param("up offset 5m", id="offset"),
        pytest.param("up @ 1", id="a time"),
        pytest.param('up{a="1"} or up{b="2"}', id="an operator between braces"),
        pytest.param('up{a="1" or b="2"}', id="or inside"),
        pytest.param('{__name__="up"}', id="no name"),
        pytest.param('up{__name__="up"}', id="the name twice"),
        pytest.param('up{"a b"="1"}', id="a label that is none"),
        pytest.param('up{a="1"', id="an open brace"),
        pytest.param("up{a=1}", id="no quotes"),
        pytest.param('up{a=~"("}', id="a pattern that is none"),
        pytest.param('up{a=~"(?=x)"}', id="a pattern with a look-ahead"),
        pytest.param('up{a=~"(a)\\\\1"}', id="a pattern with a back-reference"),
        pytest.param('up{a=~"(.{1000}){1000}"}', id="a pattern without measure"),
        pytest.param('up{a="\\u0000"}', id="a control character"),
        pytest.param("nan", id="a number"),
        pytest.param("(" * 900 + "up" + ")" * 100, id="brackets"),
        pytest.param('up{a="' + "x" * 1024 + '"}', id="too long"),
        pytest.param("up{" + ",".join(f'a{n}="x"' for n in range(17)) + "}", id="too many"),
        pytest.param("up # a comment", id="a comment"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """With the name of the field, and without what was written."""
    with pytest.raises(MetricsUnknown) as raised:
        parse_selector(text, "spec.analysis.metrics[0].hits")
    problem = raised.value.problem
    assert problem.reason is Unknown.SELECTOR_INVALID
    assert problem.message.startswith("spec.analysis.metrics[0].hits: ")


@given(text=st.text(max_size=60) | st.text(string.printable, max_size=60))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    """What is read from any text survives printing; all else is the one exception."""
    try:
        selector = parse_selector(text, "f")
    except MetricsUnknown:
        return
    assert parse_selector(selector.text(), "f") == selector


@given(name=NAMES, labels=st.lists(LABELS, max_size=4, unique=True), data=st.data())
def test_values_are_inert(name: str, labels: list[str], data: st.DataObject) -> None:
    """Quotes, braces, backslashes, any script: a value stays one value of one matcher, ours added stay ours."""
    operators = st.sampled_from([Operator.EQUAL, Operator.UNEQUAL])
    theirs = tuple(Matcher(label, data.draw(operators), data.draw(VALUES)) for label in labels)
    ours = Matcher("namespace", Operator.EQUAL, data.draw(VALUES))
    selector = Selector(name, theirs).also(ours)
    query = aggregated("sum", ("namespace", "pod", "le"), "", selector)
    read = promql_parser.parse(query)
    assert isinstance(read, promql_parser.AggregateExpr)
    assert isinstance(read.expr, promql_parser.VectorSelector)
    assert [(each.name, each.value) for each in read.expr.matchers.matchers] == [
        (each.label, each.value) for each in selector.matchers
    ]


@pytest.mark.parametrize(
    "value", ['"', '"} or up{a="', "\\", '\\"', "\n", "a\nb", "}", "{{x}}", "\u202e", "`", "'"]
)
def test_known_ways_out_of_a_string(value: str) -> None:
    """Each is a value, and nothing else."""
    selector = Selector("up", (Matcher("a", Operator.EQUAL, value),))
    assert parse_selector(selector.text(), "f") == selector


@pytest.mark.parametrize(
    ("matcher", "value", "accepted"),
    [
        pytest.param(Matcher("a", Operator.EQUAL, "x"), "x", True, id="equal"),
        pytest.param(Matcher("a", Operator.EQUAL, ""), "", True, id="a label that is absent is empty"),
        pytest.param(Matcher("a", Operator.UNEQUAL, "x"), "", True, id="absent is not x"),
        pytest.param(Matcher("a", Operator.MATCHES, "5.."), "503", True, id="pattern"),
        pytest.param(Matcher("a", Operator.MATCHES, "5.."), "5030", False, id="the whole value"),
        pytest.param(Matcher("a", Operator.MATCHES, "a|b"), "ab", False, id="alternatives, the whole value"),
        pytest.param(Matcher("a", Operator.MATCHES, "a.b"), "a\nb", True, id="a dot is any character"),
        pytest.param(Matcher("a", Operator.MATCHES, "Ä+"), "ÄÄ", True, id="letters, not bytes"),
        pytest.param(Matcher("a", Operator.MATCHES, "(?i)ok"), "OK", True, id="flags"),
        pytest.param(Matcher("a", Operator.MATCHES_NOT, "5.."), "200", True, id="not pattern"),
        pytest.param(Matcher("a", Operator.MATCHES, "(x+x+)+y"), "x" * 5000, False, id="no exponential time"),
    ],
)
def test_matchers_as_prometheus_has_them(matcher: Matcher, value: str, *, accepted: bool) -> None:
    """RE2, anchored at both ends."""
    assert matcher.accepts(value) is accepted
