"""How far pods are with fetching their model: read from their port 8089, beside the work on models and never waited for.

A reading is shown as it is for ten seconds, and until there are ten points more: each other one would be a write of
status. A pod that does not answer, because it is over or because a NetworkPolicy is in the way, is left out.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta

from modelward.analysis.sampled_evidence import MetricsUnknown
from modelward.clients.scrape import Body, Page, Scraper
from modelward.rollout.model_identity import amount
from modelward.rollout.observed import Pod
from modelward.runtimes.fetching import PROGRESS_PORT

SHOWN_SECONDS: Final = 10.0
SHOWN_POINTS: Final = 10
READ_SECONDS: Final = 4.0
"""Between two readings of a pod."""
_LARGEST_ANSWER: Final = 4096
_MOST_PODS: Final = 10_000
"""That are remembered."""
_Count = Annotated[int, Meta(ge=0, le=2**60)]


class Progress(Protocol):
    """Who knows how far pods are."""

    def of(self, pods: Iterable[Pod]) -> Mapping[str, str]:
        """What is known of those that fetch just now, by name, in words."""


class _Nothing:
    def of(self, pods: Iterable[Pod]) -> Mapping[str, str]:  # noqa: ARG002 - whoever is asked about
        """Nothing is known."""
        return {}


NO_PROGRESS: Final = _Nothing()


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    """What `/progress` answers, as far as it is used (docs/fetch.md)."""

    state: Annotated[str, Meta(max_length=20, pattern="^[A-Za-z]*$")]
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    bytes: _Count = 0
    total_bytes: _Count | None = None
    bytes_per_second: _Count = 0

    @property
    def words(self) -> str:
        """As it is reported."""
        if self.state != "Fetching":
            return f"{self.state.lower()} its model" if self.state else "fetching its model"
        if self.percent is None or not self.total_bytes:
            return f"fetching its model, {amount(self.bytes)} so far"
        left = (self.total_bytes - self.bytes) / self.bytes_per_second if self.bytes_per_second else 0.0
        about = f", about {left:.0f} s" if left else ""
        return f"fetching {self.percent} % of {amount(self.total_bytes)}{about}"


@dataclass(slots=True)
class _Seen:
    asked: float
    """When it was asked last."""
    shown: _Answer | None = None
    shown_since: float = 0.0


@dataclass(slots=True)
class ProgressReader:
    """Asks pods in the background. `read` gets the page of a pod's address."""

    read: Callable[[Page], Coroutine[Any, Any, Body]]
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def of(self, pods: Iterable[Pod]) -> Mapping[str, str]:
        """What is known of those that fetch just now; they are asked again if the last time is long enough ago."""
        found = {}
        for pod in pods:
            if not pod.fetching or not pod.ip:
                self._seen.pop(pod.name, None)
                continue
            seen = self._seen.setdefault(pod.name, _Seen(asked=float("-inf")))
            if self.clock() - seen.asked >= READ_SECONDS:
                seen.asked = self.clock()
                self._begin(pod.ip, seen)
            if seen.shown:
                found[pod.name] = seen.shown.words
        while len(self._seen) > _MOST_PODS:  # those that are gone report nothing
            self._seen.pop(next(iter(self._seen)))
        return found

    async def stop(self) -> None:
        """End all readings."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, address: str, seen: _Seen) -> None:
        task = asyncio.create_task(self._poll(address, seen))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll(self, address: str, seen: _Seen) -> None:
        try:
            page = await self.read(Page(address=address, port=PROGRESS_PORT, path="/progress"))
            answer = msgspec.json.decode(page.text, type=_Answer)
        except (MetricsUnknown, msgspec.MsgspecError):
            return
        if _is_worth_telling(seen, answer, self.clock()):
            seen.shown, seen.shown_since = answer, self.clock()


def _is_worth_telling(seen: _Seen, answer: _Answer, now: float) -> bool:
    if seen.shown is None or seen.shown.state != answer.state:
        return True
    further = (answer.percent or 0) - (seen.shown.percent or 0)
    return now - seen.shown_since >= SHOWN_SECONDS and further >= SHOWN_POINTS


@asynccontextmanager
async def fetch_progress() -> AsyncIterator[ProgressReader]:
    """A reader that is closed at the end."""
    scraper = Scraper(limit=_LARGEST_ANSWER)
    reader = ProgressReader(scraper.read)
    try:
        yield reader
    finally:
        await reader.stop()
        await scraper.close()
