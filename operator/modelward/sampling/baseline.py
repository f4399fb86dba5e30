"""The baseline: what stable's pods do when nothing is rolled out, within one budget for the whole fleet.

A judge must know by how much counts scatter without any change (modelward.analysis.noise). To see that at
every time scale, a model is read as often as in a rollout, for a window of some minutes; then it is the turn
of the next. So few models are read all the time, and of many each has its window once in a while. The API
server gets no request for it, since pods are watched; between two windows a model's history is a short text. Once it
is known well it is kept with the revision, so that another leader begins with it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.noise import HALF_LIFE_SECONDS, Noise, decode, encode
from modelward.analysis.policy import MetricPolicy
from modelward.analysis.readings import Arm, Poll
from modelward.api.names import MOST_NOISE_CHARACTERS
from modelward.api.objects import Key
from modelward.errors import InvalidState
from modelward.sampling.pods import PodSource
from modelward.sampling.subject import Side

ROUND_SECONDS: Final = 5.0
"""Time between two readings of a model that has its window."""
WINDOW_SECONDS: Final = 600.0
"""Two of the longest blocks of time over which pods are compared."""
RIPE_SECONDS: Final = 3600.0
RIPE_CASES: Final = 1000
"""What was read for so long, and shows so many cases, is kept with the revision."""
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
    read_seconds: float = 0.0
    """For how long it was read, in this window and those before."""


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
    remembered: Callable[[Key, str], str] = lambda _key, _revision: ""
    """What is kept of a revision of a model from before this process."""
    wake: Callable[[Key], None] = lambda _key: None
    """Called with a model of which there is something to be kept."""
    _known: dict[tuple[Key, str], tuple[str, float]] = field(default_factory=dict)
    """The history of a revision of a model, as text, and for how long it was read."""
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
            text = self._known.get((key, revision), ("", 0.0))[0] or self.remembered(key, revision)
        try:
            return decode(text, metrics, HALF_LIFE_SECONDS) if text else _empty(metrics)
        except InvalidState:  # the user changed the metrics
            return _empty(metrics)

    def ripe(self, key: Key, revision: str) -> str:
        """What is known of a revision that is being read, as text, if it is known well; else empty."""
        window = self._windows.get(key)
        if window is None or window.baseline_model.side.revision != revision or not _is_ripe(window):
            return ""
        text = encode(window.noise)
        return text if len(text) <= MOST_NOISE_CHARACTERS else ""

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
            self._known[key, window.baseline_model.side.revision] = encode(window.noise), window.read_seconds

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
                read = self._known.get((key, baseline_model.side.revision), ("", 0.0))[1]
                self._windows[key] = _Window(
                    baseline_model=baseline_model, noise=noise, since=self.clock(), read_seconds=read
                )
            self._next += 1

    async def _read(self, window: _Window) -> None:
        """Read one model. No error of it ends the reading of the others, which go on in the same round."""
        baseline_model = window.baseline_model
        try:
            polled = await self.pods.poll(
                baseline_model.key, {Arm.STABLE: baseline_model.side}, self.clock(), most=MOST_BASELINE_PODS
            )
            if polled.poll.pods:
                self._take(window, polled.poll)
        except Exception:
            logger.exception("%s/%s: reading at rest failed, please report it", *baseline_model.key)

    def _take(self, window: _Window, poll: Poll) -> None:
        before, was_ripe = window.noise.time, _is_ripe(window)
        window.noise = window.noise.plus(poll)
        if before is not None:
            window.read_seconds += min(poll.time - before, 2 * ROUND_SECONDS)
        if not was_ripe and _is_ripe(window):
            self.wake(window.baseline_model.key)


def _is_ripe(window: _Window) -> bool:
    return window.read_seconds >= RIPE_SECONDS and window.noise.cases >= RIPE_CASES


def _other(now: BaselineModel, before: BaselineModel) -> bool:
    return (now.side, now.metrics) != (before.side, before.metrics)


def _empty(metrics: tuple[MetricPolicy, ...]) -> Noise:
    return Noise(metrics=metrics, half_life_seconds=HALF_LIFE_SECONDS)
