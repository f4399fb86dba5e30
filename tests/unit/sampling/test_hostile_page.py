"""A metrics page is a tenant's text: none of its words get into what is notified of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.sampling.exposition import readings
from modelward.sampling.selectors import parse_selector, parse_sum
from modelward.sampling.targets import GaugeTarget, HistogramTarget, RatioTarget

WORD = "p1ant3d"
WANTED = (
    RatioTarget(name="errors", hits=parse_sum("hits", "f"), total=parse_sum("total", "f")),
    HistogramTarget(name="latency", buckets=parse_selector("latency_bucket", "f")),
    GaugeTarget(name="depth", gauge=parse_selector("depth", "f")),
)
NAMES = st.sampled_from(["hits", "total", "latency_bucket", "depth", "# TYPE hits", "# HELP total", WORD, ""])
REST = st.sampled_from(
    [
        f" {WORD}",
        f'{{a="{WORD}"}} 1',
        f'{{{WORD}="a"}} {WORD}',
        f'{{le="{WORD}"}} 1',
        f'{{a="{WORD}',
        f" {WORD}\x1b[2K",
        f'{{a="\\n{WORD}"}} NaN',
        " 1 2 3",
        " -1",
        f"{{\u202e{WORD}}}",
        f"\x00{WORD}",
    ]
)
LINES = st.lists(st.tuples(NAMES, REST).map("".join), max_size=6)


def reported(page: str) -> list[str]:
    """All that is said about a page."""
    try:
        return [problem.problem.message for problem in readings(page, WANTED).problems.values()]
    except MetricsUnknown as unknown:
        return [unknown.problem.message]


@given(LINES)
def test_no_text_of_a_page_is_repeated(lines: list[str]) -> None:
    """Names, labels, values and comments of the page; what is reported names the metrics that were asked for."""
    for message in reported("\n".join(lines) + "\n"):
        assert WORD not in message
        assert message.isprintable()


@pytest.mark.parametrize(
    "label", ["a" * 1_000_000, '\\"' * 400_000, "{" * 500_000], ids=["long", "quoted", "open"]
)
def test_a_page_of_one_label(label: str) -> None:
    """A MiB of it is read, or asked to be no page, and not repeated."""
    assert all(len(message) < 200 for message in reported(f'hits{{a="{label}"}} 1\n'))
