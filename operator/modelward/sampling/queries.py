"""Queries about the pods of many rollouts in one: those for the same series at the same time go out together.

Times are multiples of an interval, so rollouts ask in the same moment. What comes back is given to each by
namespace and by the names of its pods. A query of several is a task of its own: whose rollout ends leaves it, and
it goes on for the others. If it fails, each asks alone: one rollout with too many series is no one else's trouble.

What belongs together is one query, too: behind one address there may be several servers, and each query may be answered
by another one. Values, and the times of the scrapes that they come from, must be of one.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import re2

from modelward.analysis.sampled_evidence import MetricsUnknown, Unknown
from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.selectors import NUMBER, Matcher, Operator, Selector, aggregated, union

OBSERVE_SECONDS: Final = 0.05
"""How long a query waits for others like it."""
MOST_TOGETHER: Final = 32
"""Rollouts in one query: their patterns stay within a few KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNames:
    """What the source calls a pod and its namespace."""

    pod: str = "pod"
    namespace: str = "namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a question: about which series, put together how."""

    selector: Selector
    operator: str = "sum"
    by: tuple[str, ...] | None = ()
    """Labels to keep besides pod and namespace; None: all."""
    function: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question that one server answers as a whole."""

    parts: tuple[Part, ...]
    """Each once."""
    times: tuple[float, ...]
    """Evenly spaced, in order; one is an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsOf:
    """Whose pods: a namespace and an RE2 pattern of their names."""

    namespace: str
    pattern: str


_Found = list[tuple[Part, Series]]


@dataclass(slots=True)
class _Batch:
    query: "asyncio.Task[_Found]"
    whose: list[PodsOf]
    waiting: int = 0
    """How many wait for the answer still."""


@dataclass(slots=True)
class Queries:
    """Puts questions to one server."""

    server: Prometheus
    labels: LabelNames
    _open: dict[Asked, _Batch] = field(default_factory=dict)
    """Batches that others may still join."""

    async def ask(self, asked: Asked, whose: PodsOf) -> dict[Part, list[Series]]:
        """The series of these pods, by the part that asks for them. Raises MetricsUnknown."""
        batch = self._joined(asked, whose)
        try:
            await asyncio.wait([batch.query])  # unlike an await of it, this neither cancels it nor raises
        finally:
            self._left(asked, batch)
        if len(batch.whose) > 1 and (batch.query.cancelled() or batch.query.exception()):
            found = await self._put(asked, [whose])
        else:
            found = batch.query.result()
        answer: dict[Part, list[Series]] = {part: [] for part in asked.parts}
        for part, series in found:
            if self._is_of(whose, series.labels):
                answer[part].append(series)
        return answer

    def _joined(self, asked: Asked, whose: PodsOf) -> _Batch:
        """The batch that asks for these pods, too."""
        batch = self._open.get(asked)
        if batch is None or len(batch.whose) >= MOST_TOGETHER:
            together: list[PodsOf] = []
            query = asyncio.create_task(self._gathered(asked, together))
            batch = self._open[asked] = _Batch(query, together)
        batch.whose.append(whose)
        batch.waiting += 1
        return batch

    def _left(self, asked: Asked, batch: _Batch) -> None:
        """One does not wait any more. A query that nobody waits for is not put."""
        batch.waiting -= 1
        if not batch.waiting:
            self._close(asked, batch.whose)
            batch.query.cancel()

    async def _gathered(self, asked: Asked, whose: list[PodsOf]) -> _Found:
        """Wait for others, then ask for all."""
        await asyncio.sleep(OBSERVE_SECONDS)
        self._close(asked, whose)
        return await self._put(asked, whose)

    def _close(self, asked: Asked, whose: list[PodsOf]) -> None:
        batch = self._open.get(asked)
        if batch and batch.whose is whose:
            del self._open[asked]

    async def _put(self, asked: Asked, whose: Iterable[PodsOf]) -> _Found:
        matchers = self._matchers(list(whose))
        query = union(tuple(self._text(part, matchers) for part in asked.parts))
        if len(asked.times) == 1:
            found = await self.server.instant(query, asked.times[0])
        else:
            step = asked.times[1] - asked.times[0]
            found = await self.server.range(query, asked.times[0], asked.times[-1], step)
        if len(asked.parts) == 1:
            return [(asked.parts[0], series) for series in found]
        return [_of_part(asked.parts, series) for series in found]

    def _text(self, part: Part, matchers: tuple[Matcher, Matcher]) -> str:
        by = None if part.by is None else (self.labels.namespace, self.labels.pod, *part.by)
        return aggregated(part.operator, by, part.function, part.selector.also(*matchers))

    def _matchers(self, whose: list[PodsOf]) -> tuple[Matcher, Matcher]:
        namespaces = sorted({each.namespace for each in whose})
        pods = "|".join(sorted({each.pattern for each in whose}))
        if len(namespaces) == 1:
            namespace = Matcher(self.labels.namespace, Operator.EQUAL, namespaces[0])
        else:
            pattern = "|".join(re2.escape(each) for each in namespaces)
            namespace = Matcher(self.labels.namespace, Operator.MATCHES, pattern)
        return namespace, Matcher(self.labels.pod, Operator.MATCHES, pods)

    def _is_of(self, whose: PodsOf, labels: Mapping[str, str]) -> bool:
        pods = Matcher(self.labels.pod, Operator.MATCHES, whose.pattern)
        return labels.get(self.labels.namespace) == whose.namespace and pods.accepts(
            labels.get(self.labels.pod, "")
        )


def _of_part(parts: tuple[Part, ...], series: Series) -> tuple[Part, Series]:
    """The part that a series of a union is of. Raises MetricsUnknown for a server that lost its number."""
    labels = dict(series.labels)
    try:
        part = parts[int(labels.pop(NUMBER, ""))]
    except (ValueError, IndexError) as error:
        raise MetricsUnknown(
            Unknown.NOT_METRICS, "the metric source does not answer label_replace as Prometheus does"
        ) from error
    return part, replace(series, labels=labels)
