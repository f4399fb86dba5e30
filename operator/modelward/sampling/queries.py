"""Queries about the pods of many rollouts in one: those for the same series at the same time go out together.

Times are multiples of an interval, so rollouts ask in the same moment. What comes back is given to each by
namespace and by the names of its pods. A query of several is a task of its own: whose rollout ends leaves it, and
it goes on for the others. If it fails, each asks alone: one rollout with too many series is no one else's trouble.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import re2

from modelward.clients.prometheus import Prometheus, Series
from modelward.sampling.selectors import Matcher, Operator, Selector, aggregated

GATHER_SECONDS: Final = 0.05
"""How long a query waits for others like it."""
MOST_TOGETHER: Final = 32
"""Rollouts in one query: their patterns stay within a few KiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelNames:
    """What the source calls a pod and its namespace."""

    pod: str = "pod"
    namespace: str = "namespace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question: about which series, put together how, when."""

    selector: Selector
    operator: str = "sum"
    by: tuple[str, ...] | None = ()
    """Labels to keep besides pod and namespace; None: all."""
    function: str = ""
    times: tuple[float, ...]
    """Evenly spaced, in order; one is an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodsOf:
    """Whose pods: a namespace and an RE2 pattern of their names."""

    namespace: str
    pattern: str


@dataclass(slots=True)
class _Batch:
    query: "asyncio.Task[list[Series]]"
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

    async def ask(self, asked: Asked, whose: PodsOf) -> list[Series]:
        """The series of these pods. Raises MetricsUnknown."""
        batch = self._joined(asked, whose)
        try:
            await asyncio.wait([batch.query])  # unlike an await of it, this neither cancels it nor raises
        finally:
            self._left(asked, batch)
        if len(batch.whose) > 1 and (batch.query.cancelled() or batch.query.exception()):
            found = await self._put(asked, [whose])
        else:
            found = batch.query.result()
        return [series for series in found if self._is_of(whose, series.labels)]

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

    async def _gathered(self, asked: Asked, whose: list[PodsOf]) -> list[Series]:
        """Wait for others, then ask for all."""
        await asyncio.sleep(GATHER_SECONDS)
        self._close(asked, whose)
        return await self._put(asked, whose)

    def _close(self, asked: Asked, whose: list[PodsOf]) -> None:
        batch = self._open.get(asked)
        if batch and batch.whose is whose:
            del self._open[asked]

    async def _put(self, asked: Asked, whose: Iterable[PodsOf]) -> list[Series]:
        selector = asked.selector.also(*self._matchers(list(whose)))
        by = None if asked.by is None else (self.labels.namespace, self.labels.pod, *asked.by)
        query = aggregated(asked.operator, by, asked.function, selector)
        if len(asked.times) == 1:
            return await self.server.instant(query, asked.times[0])
        return await self.server.range(
            query, asked.times[0], asked.times[-1], asked.times[1] - asked.times[0]
        )

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
