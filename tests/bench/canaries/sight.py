"""What watches show of the models: their status, and which revisions are given requests, each with its time."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from bench.api import CORE, MODELS, Api, Manifest, path, watching

GATEWAYS: Final = "/apis/gateway.networking.k8s.io/v1"
MODEL_LABEL: Final = "modelward.dev/model"
REVISION_LABEL: Final = "modelward.dev/revision"
EVERYBODY: Final = ""
"""In place of a revision: a Service that selects the pods of all."""

Shares = Mapping[str, int]
"""Weight by revision."""


class Way(StrEnum):
    """What shares out the requests of a model."""

    ROUTE = "HTTPRoute"
    SERVICE = "Service"


@dataclass(slots=True)
class Sight:
    """Of all models of a namespace."""

    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[tuple[Way, str], list[tuple[float, Shares]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By way and model, in order, with monotonic seconds of arrival."""
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @asynccontextmanager
    async def of(cls, api: Api, namespace: str) -> AsyncIterator[Self]:
        """It sees until the block is left."""
        sight = cls()
        follow: dict[str, Callable[[float, Manifest], None]] = {
            path(MODELS, "modeldeployments", namespace): sight._see_model,
            path(GATEWAYS, "httproutes", namespace): sight._see_route,
            path(CORE, "services", namespace): sight._see_service,
        }
        async with AsyncExitStack() as watches:
            for where, take in follow.items():
                await watches.enter_async_context(watching(api, where, take))
            yield sight

    async def until(self, true: Callable[[], bool], what: str, seconds: float) -> float:
        """When it was true first (monotonic seconds). Raises TimeoutError that says what was awaited."""
        end = time.monotonic() + seconds
        while not true():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"waited {seconds:.0f} s in vain: {what}")
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), min(left, 0.5))
            except TimeoutError:
                continue  # what is awaited may be a matter of time, too
        return time.monotonic()

    def share(self, way: Way, model: str, revision: str) -> int:
        """The weight of a revision now."""
        seen = self.shares[way, model]
        return _share(seen[-1][1], revision) if seen else 0

    def weightless(self, way: Way, model: str, revision: str, since: float) -> float | None:
        """When a revision that had weight lost it for good, after a moment; None: it has some, or never had."""
        had, lost = False, None
        for when, shares in self.shares[way, model]:
            share = _share(shares, revision)
            if had and not share:
                lost = when
            elif share:
                lost = None  # for now only: its pods were away for a moment
            had = share > 0
        return lost if lost is not None and lost >= since else None

    def _see_model(self, _when: float, seen: Manifest) -> None:
        self.statuses[seen["metadata"]["name"]] = seen.get("status", {})
        self._came.set()

    def _see_route(self, when: float, seen: Manifest) -> None:
        name = seen["metadata"]["name"]
        backends = seen["spec"]["rules"][0]["backendRefs"]
        shares = {each["name"].removeprefix(f"{name}-"): each["weight"] for each in backends}
        self._note(when, Way.ROUTE, name, shares)

    def _see_service(self, when: float, seen: Manifest) -> None:
        """Only the Service that clients use."""
        name, selector = seen["metadata"]["name"], seen["spec"].get("selector", {})
        if selector.get(MODEL_LABEL) == name:
            self._note(when, Way.SERVICE, name, {selector.get(REVISION_LABEL, EVERYBODY): 100})

    def _note(self, when: float, way: Way, name: str, shares: Shares) -> None:
        self.shares[way, name].append((when, shares))
        self._came.set()


def _share(shares: Shares, revision: str) -> int:
    return shares.get(revision, shares.get(EVERYBODY, 0))
