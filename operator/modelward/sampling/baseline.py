"""The baseline: what stable's pods do when nothing is rolled out, within one budget for the whole fleet.

A judge must know by how much counts scatter without any change (modelward.analysis.noise). To see that at
every time scale, a model is read as often as in a rollout, for a window of some minutes; then it is the turn
of the next. So few models are read all the time, and of many each has its window once in a while. The API
server gets no request for it, since pods are watched, and nothing is written anywhere; between two windows a
model's history is a short text.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.noise import HALF_LIFE_SECONDS, Noise, decode, encode
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm
from modelward.errors import InvalidState
from modelward.sampling.pods import PodSource
from modelward.sampling.subject import Key, Side

ROUND_SECONDS: Final = 5.0
"""Time between two readings of a model that has its window."""
WINDOW_SECONDS: Final = 600.0
"""Two of the longest blocks of time over which pods are compared."""
MOST_BASELINE_PODS: Final = 8
"""Of a model with more pods, these stand for the others."""


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineModel:
    """A model that could be read while nothing is rolled out."""

    key: Key
    side: Side
    metrics: tuple[MetricPolicy, ...]
    pods: int
    """How many serve now."""

    @property
    def cost(self) -> int:
        """Scrapes a round."""
        return min(MOST_BASELINE_PODS, max(1, self.pods))


@dataclass(slots=True, kw_only=True)
class _Window:
    baseline_model: BaselineModel
    noise: Noise
    since: float


@dataclass(slots=True, kw_only=True)
class Baseline:
    """Reads models at rest, one after the other, and keeps what it learned."""

    pods: PodSource
    models: Callable[[], list[Key]]
    """All models, in any order."""
    model_of: Callable[[Key], BaselineModel | None]
    """What may be read of a model now; None while something is rolled out, or nothing is known to read."""
    clock: Callable[[], float]
    scrapes_per_second: float
    window_seconds: float = WINDOW_SECONDS
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _known: dict[tuple[Key, str], str] = field(default_factory=dict)
    """The history of a revision of a model, as text."""
    _windows: dict[Key, _Window] = field(default_factory=dict)
    _next: int = 0

    async def run(self) -> None:
        """Read for ever. No error ends this: without a history rollouts are judged all the same."""
        while True:
            try:
                await self.round()
            except Exception:
                logger.exception("reading at rest failed, please report it")
                await self.sleep(ROUND_SECONDS)

    def noise(self, key: Key, revision: str, metrics: tuple[MetricPolicy, ...]) -> Noise:
        """What is known of a revision; without history an empty one."""
        window = self._windows.get(key)
        if (
            window
            and window.baseline_model.side.revision == revision
            and window.baseline_model.metrics == metrics
        ):
            text: str | None = encode(window.noise)
        else:
            text = self._known.get((key, revision))
        try:
            return decode(text, metrics, HALF_LIFE_SECONDS) if text else _empty(metrics)
        except InvalidState:  # the user changed the metrics
            return _empty(metrics)

    async def round(self) -> None:
        """Read once every model that has its window, spread over the round."""
        keys = self.models() if self.scrapes_per_second > 0 else []
        self._close_windows(keys)
        self._open_windows(keys)
        if not self._windows:
            await self.sleep(ROUND_SECONDS)
            return
        pause = ROUND_SECONDS / len(self._windows)
        async with asyncio.TaskGroup() as group:
            for window in list(self._windows.values()):
                group.create_task(self._read(window))
                await self.sleep(pause)

    def _close_windows(self, keys: list[Key]) -> None:
        there = set(keys)
        for entry in [entry for entry in self._known if entry[0] not in there]:
            del self._known[entry]
        waiting = len(there) > len(self._windows)
        for key, window in list(self._windows.items()):
            over = waiting and self.clock() - window.since >= self.window_seconds
            now = self.model_of(key) if key in there else None
            if now is None or over or _other(now, window.baseline_model):
                del self._windows[key]
                if key in there:
                    self._keep(window)
            else:
                window.baseline_model = now

    def _keep(self, window: _Window) -> None:
        """Only of the revision that serves: the history of others is of no use any more."""
        key = window.baseline_model.key
        for entry in [entry for entry in self._known if entry[0] == key]:
            del self._known[entry]
        if window.noise.sums:
            self._known[key, window.baseline_model.side.revision] = encode(window.noise)

    def _open_windows(self, keys: list[Key]) -> None:
        """Give windows to the next models, as far as the budget goes: always to one at least."""
        budget = self.scrapes_per_second * ROUND_SECONDS
        for _ in range(len(keys)):
            used = sum(window.baseline_model.cost for window in self._windows.values())
            key = keys[self._next % len(keys)]
            if key not in self._windows and (baseline_model := self.model_of(key)):
                if self._windows and used + baseline_model.cost > budget:
                    return
                noise = self.noise(key, baseline_model.side.revision, baseline_model.metrics)
                self._windows[key] = _Window(baseline_model=baseline_model, noise=noise, since=self.clock())
            self._next += 1

    async def _read(self, window: _Window) -> None:
        """Read one model. No error of it ends the reading of the others, which go on in the same round."""
        baseline_model = window.baseline_model
        try:
            polled = await self.pods.poll(
                baseline_model.key, {Arm.STABLE: baseline_model.side}, self.clock(), most=MOST_BASELINE_PODS
            )
            if polled.poll.pods:
                window.noise = window.noise.plus(polled.poll)
        except Exception:
            logger.exception("%s/%s: reading at rest failed, please report it", *baseline_model.key)


def _other(now: BaselineModel, before: BaselineModel) -> bool:
    return (now.side, now.metrics) != (before.side, before.metrics)


def _empty(metrics: tuple[MetricPolicy, ...]) -> Noise:
    return Noise(metrics=metrics, half_life_seconds=HALF_LIFE_SECONDS)
