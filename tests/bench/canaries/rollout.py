"""One model under load, and what a scenario does with it: a new version, a command, and what comes of them."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from bench.api import CORE, MODELS, Api, path
from bench.canaries.load import Answer, Load
from bench.canaries.models import Faults, version
from bench.canaries.sight import MODEL_LABEL, REVISION_LABEL, Sight, Way
from bench.setting import NAMESPACE
from modelward.analysis import judge

PATIENCE_SECONDS: Final = 120.0
QUIET_SECONDS: Final = 1.0
"""Nothing of the canary comes any more when its pods are gone for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one run."""

    ended: str
    """The result in history, or what else happened."""
    times: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    message: str = ""
    troubles: tuple[str, ...] = ()
    """What went wrong with requests that no model server answered."""
    noise: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """phi by metric, one for each of its tests, as the judge had it."""


@dataclass(slots=True)
class Rollout:
    """A model that serves, and its load."""

    api: Api
    sight: Sight
    name: str
    load: Load
    way: Way
    number: int = 0
    revisions: set[str] = field(default_factory=set)
    noise: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def status(self) -> dict[str, Any]:
        """As the watch showed it last."""
        return self.sight.statuses.get(self.name, {})

    @property
    def where(self) -> str:
        """URL path of the model."""
        return path(MODELS, "modeldeployments", NAMESPACE, self.name)

    async def wait_quiet(self) -> None:
        """Wait until the model serves and nothing is under way."""

        def quiet() -> bool:
            return bool(self.status.get("stableRevision")) and not self.status.get("rollout")

        await self.sight.until(quiet, f"{self.name} is quiet", PATIENCE_SECONDS)

    async def change(self, faults: Faults) -> str:
        """Ask for a new version; its revision, once it is on its way."""
        self.number += 1
        self.revisions |= {self.status.get("stableRevision", "")}
        self.load.answers.clear()
        await self.api.change(self.where, version(self.number, faults))
        self.noise = {}
        await self.sight.until(lambda: bool(self._new()), f"{self.name} has a canary", PATIENCE_SECONDS)
        revision = self._new()
        self.revisions.add(revision)
        return revision

    def _new(self) -> str:
        canary: str = self.status.get("canaryRevision") or ""
        return canary if canary not in self.revisions else ""

    async def command(self, name: str, value: str) -> float:
        """Annotate the model; when the API server had answered (monotonic seconds)."""
        annotations = {f"modelward.dev/{name}": value}
        await self.api.change(self.where, {"metadata": {"annotations": annotations}})
        return time.monotonic()

    async def wait_weight(self, revision: str) -> None:
        """Wait until requests are meant to reach a revision."""
        await self.sight.until(
            lambda: self.sight.share(self.way, self.name, revision) > 0,
            f"{revision} has weight",
            PATIENCE_SECONDS,
        )

    async def wait_answers(self, revision: str, count: int, *, kept: bool | None = None) -> None:
        """Wait until a revision has answered so often, anybody or clients that keep their connections."""
        await self.sight.until(
            lambda: len(self.load.of(revision, kept=kept)) >= count, f"{revision} answers", PATIENCE_SECONDS
        )

    async def ended(self, revision: str, patience: float) -> dict[str, Any]:
        """The entry of a revision's rollout in history; empty when it has not ended in time."""

        def over() -> bool:
            self.noise = self._noise() or self.noise
            return bool(self._entry(revision))

        with suppress(TimeoutError):
            await self.sight.until(over, "it ends", patience)
        return self._entry(revision)

    def _noise(self) -> dict[str, tuple[float, ...]]:
        """phi as the judge remembers it, once there is anything to remember."""
        text = (self.status.get("analysis") or {}).get("state", "")
        return {metric.name: metric.phis for metric in judge.decode(text).metrics} if text else {}

    def _entry(self, revision: str) -> dict[str, Any]:
        history: list[dict[str, Any]] = self.status.get("history", [])
        return next((each for each in history if each["revision"] == revision), {})

    async def weightless(self, revision: str, since: float) -> float:
        """When the revision had no weight any more (monotonic seconds)."""

        def found() -> bool:
            return self.sight.weightless(self.way, self.name, revision, since) is not None

        await self.sight.until(found, f"{revision} has no weight", PATIENCE_SECONDS)
        when = self.sight.weightless(self.way, self.name, revision, since)
        assert when is not None
        return when

    async def wait_gone(self, revision: str) -> None:
        """Wait until no pod of a revision is left, and no answer of it is on its way."""
        end = time.monotonic() + PATIENCE_SECONDS
        while await self.pods(revision):
            if time.monotonic() > end:
                raise TimeoutError(f"pods of {revision} are still there")
            await asyncio.sleep(0.25)
        await asyncio.sleep(QUIET_SECONDS)
        await self.wait_quiet()

    async def pods(self, revision: str) -> list[dict[str, Any]]:
        """The pods of a revision."""
        labels = f"{MODEL_LABEL}={self.name},{REVISION_LABEL}={revision}"
        found = await self.api.get(f"{path(CORE, 'pods', NAMESPACE)}?labelSelector={labels}")
        items: list[dict[str, Any]] = found["items"]
        return items

    def outcome(self, ended: str, message: str, times: dict[str, float], **counts: int) -> Outcome:
        """The outcome of the run, with what was lost in it."""
        lost = [answer for answer in self.load.answers if answer.lost]
        return Outcome(
            ended=ended,
            times=times,
            counts={**counts, "requests that no server answered": len(lost)},
            message=message,
            troubles=tuple(answer.trouble for answer in lost),
            noise=self.noise,
        )


def last(answers: Iterable[Answer]) -> float | None:
    """When the last of them came; None without any."""
    return max((answer.ended for answer in answers), default=None)
