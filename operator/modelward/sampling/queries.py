"""Queries about the pods of many rollouts in one: those for the same series at the same time go out together.

Times are multiples of an interval, so rollouts ask in the same moment. What comes back is given to each by
namespace and by the names of its pods. If a query of several fails, each asks alone: one rollout with too
many series is no one else's trouble.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import re2

from modelward.clients.prometheus import Prometheus, Series
from modelward.clients.unknown import MetricsUnknown
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
    by: tuple[str, ...] = ()
    """Labels to keep besides pod and namespace."""
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
    whose: list[PodsOf] = field(default_factory=list)
    answer: asyncio.Future[list[Series]] | None = None


@dataclass(slots=True)
class Queries:
    """Puts questions to one server."""

    server: Prometheus
    labels: LabelNames
    _waiting: dict[Asked, _Batch] = field(default_factory=dict)

    async def ask(self, asked: Asked, whose: PodsOf) -> list[Series]:
        """The series of these pods. Raises MetricsUnknown."""
        batch = self._waiting.get(asked)
        if batch is None or len(batch.whose) >= MOST_TOGETHER or batch.answer is None:
            batch = _Batch(answer=asyncio.get_running_loop().create_future())
            self._waiting[asked] = batch
            batch.whose.append(whose)
            await self._lead(asked, batch)
        else:
            batch.whose.append(whose)
        assert batch.answer is not None  # noqa: S101 - for mypy: made above
        try:
            found = await asyncio.shield(batch.answer)
        except MetricsUnknown:
            if len(batch.whose) == 1:
                raise
            found = await self._put(asked, [whose])
        return [series for series in found if self._is_of(whose, series.labels)]

    async def _lead(self, asked: Asked, batch: _Batch) -> None:
        """Wait for others, then ask for all. An error is given to each."""
        assert batch.answer is not None  # noqa: S101
        try:
            await asyncio.sleep(GATHER_SECONDS)
            self._close(asked, batch)
            batch.answer.set_result(await self._put(asked, batch.whose))
        except MetricsUnknown as unknown:
            batch.answer.set_exception(unknown)
            batch.answer.exception()  # looked at: it may be that nobody else waits
        except BaseException:
            self._close(asked, batch)
            batch.answer.cancel()
            raise

    def _close(self, asked: Asked, batch: _Batch) -> None:
        if self._waiting.get(asked) is batch:
            del self._waiting[asked]

    async def _put(self, asked: Asked, whose: Iterable[PodsOf]) -> list[Series]:
        selector = asked.selector.also(*self._matchers(list(whose)))
        by = (self.labels.namespace, self.labels.pod, *asked.by)
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
