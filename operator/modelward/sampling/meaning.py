"""What a selector says of which a metric source has no series: no case yet, or what no series could ever match.

Asked only where something matches nothing, and with as few series as show it: those of the name by the labels that the
selectors speak of. All labels that there are come in only for the sentence that names a missing one. Whether a label
exists is decided for a revision as a whole: some labels are born with the first failure, of whichever pod.
"""

from collections.abc import Iterable
from dataclasses import replace

from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.sampling.columns import Answer, Column, spelled
from modelward.sampling.lines import Line, Page
from modelward.sampling.queries import Asked, Part, PodsOf, Queries
from modelward.sampling.selectors import Selector
from modelward.sampling.spelling import as_shown, labels_of, unmeant, without_labels
from modelward.sampling.targets import RatioTarget


async def column(queries: Queries, whose: PodsOf, time: float, wanted: RatioTarget, answer: Answer) -> Column:
    """The column of a ratio. That what matches nothing cannot be examined is a problem of this metric alone."""
    odd = _odd(wanted, answer)
    if not odd:
        return Column(wanted=wanted, answer=answer)
    try:
        page = await _page(queries, whose, time, _grouped(odd))
    except MetricsUnknown as unknown:
        return Column(wanted=wanted, answer=answer, problem=_unseen(wanted, unknown))
    problem = without_labels(labels_of(page, wanted), wanted)
    if problem:
        problem = await _with_all_labels(queries, whose, time, wanted, odd) or problem
    elif not any(answer.has(wanted, as_shown(page, part)) for part in wanted.total.parts):
        problem = unmeant(page, wanted)
    return Column(wanted=wanted, answer=answer, page=page, problem=problem)


def _odd(wanted: RatioTarget, answer: Answer) -> list[Selector]:
    """Selectors that mean no series, and those of hits that are fulfilled by whatever lacks a label."""
    negative = [part for part in wanted.hits.parts if any(each.accepts("") for each in part.matchers)]
    parts = (*wanted.total.parts, *wanted.hits.parts)
    return list(dict.fromkeys([*negative, *(part for part in parts if not answer.has(wanted, part))]))


def _grouped(selectors: Iterable[Selector]) -> tuple[Part, ...]:
    """All series of these names, by the labels of the selectors."""
    labels: dict[str, tuple[str, ...]] = {}
    for each in (each for selector in selectors for each in spelled(selector)):
        labels[each.name] = tuple(dict.fromkeys((*labels.get(each.name, ()), *each.labels)))
    return tuple(Part(selector=Selector(name), operator="count", by=by) for name, by in labels.items())


async def _page(queries: Queries, whose: PodsOf, time: float, parts: tuple[Part, ...]) -> Page:
    found = await queries.ask(Asked(parts=parts, times=(time,)), whose)
    series = {
        part.selector.name: [Line(part.selector.name, each.labels, 0.0) for each in of_name]
        for part, of_name in found.items()
        if of_name
    }
    return Page(series=series, types={})


async def _with_all_labels(
    queries: Queries, whose: PodsOf, time: float, wanted: RatioTarget, odd: Iterable[Selector]
) -> MetricsUnknown | None:
    """That a label is missing, with those that there are; None if that cannot be had."""
    parts = tuple(replace(part, by=None) for part in _grouped(odd))
    try:
        page = await _page(queries, whose, time, parts)
        return without_labels(labels_of(page, wanted), wanted)
    except MetricsUnknown:
        return None


def _unseen(wanted: RatioTarget, unknown: MetricsUnknown) -> MetricsUnknown:
    problem = unknown.problem
    return MetricsUnknown(
        problem.reason, f"metric {wanted.name}: whether its labels are right is not known: {problem.message}"
    )
