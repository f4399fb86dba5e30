"""Leader election: of several operators one works, the others stand by.

The rules are those of client-go's leaderelection (https://pkg.go.dev/k8s.io/client-go/tools/leaderelection): a
leader counts from when it *sent* its last successful renewal and stops `renew_deadline` after that, sooner than
any candidate may begin, which waits `lease` from when it saw that renewal. See docs/design/0008.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from modelward.clients.write_gate import Gate
from modelward.errors import ApiError, ModelwardError, NotFound
from modelward.leader.lease import Lease

STUCK_AFTER_SECONDS: Final = 60.0
"""A process that has not polled its Lease for so long is stuck."""
_RELEASE_SECONDS: Final = 2.0

Term = Callable[[], Coroutine[Any, Any, None]]
"""The work of a leader. Begun with each term and cancelled at its end."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often the Lease is polled, in seconds."""

    renew_deadline: float = 10.0
    """A leader that has not renewed for so long stops. Shorter than the Lease."""
    retry: float = 2.0
    """Pause between two renewals; candidates poll a little more often."""

    @property
    def request(self) -> float:
        """The longest that one poll may take: a second one must fit before the deadline."""
        return self.renew_deadline / 2

    def until_renewal(self) -> float:
        """A pause of the leader; never the same twice, so that many do not ask in step."""
        return self.retry * random.uniform(0.8, 1.0)  # noqa: S311 - no secret

    def until_poll(self) -> float:
        """A pause of a candidate. It is what a takeover may take longer than the Lease lasts."""
        return self.retry * random.uniform(0.5, 0.7)  # noqa: S311 - no secret


@dataclass(slots=True, kw_only=True)
class Leader:
    """Takes the Lease, works while it holds it, and gives it back."""

    lease: Lease
    gate: Gate
    pace: Pace = field(default_factory=Pace)
    _turned: float | None = None
    """When the Lease was last polled."""
    _trouble: str = ""

    async def run(self, term: Term) -> None:
        """Lead as often and as long as may be, for ever. Gives the Lease back when it is cancelled."""
        try:
            while True:
                await self._acquire()
                await self._lead(term)
        finally:
            await self._release()

    def stuck(self) -> str:
        """What only a restart repairs: nobody has polled the Lease for long. Empty while all is well."""
        silent = self.gate.clock() - self._turned if self._turned is not None else 0.0
        return f"{self.lease} was not read for {silent:.0f} s" if silent > STUCK_AFTER_SECONDS else ""

    def trouble(self) -> str:
        """What keeps this process from being a candidate, or from renewing. Empty while all is well."""
        return self._trouble

    async def _acquire(self) -> None:
        """Wait until the Lease is free, and take it."""
        logger.info("candidate for %s: %s", self.lease, self.lease.identity)
        holder = ""
        while (wait := await self._attempt()) is not None:
            if self.lease.holder != holder and not self._trouble:
                holder = self.lease.holder
                logger.info("standing by: %s is held by %s", self.lease, holder or "nobody")
            await asyncio.sleep(wait)

    async def _attempt(self) -> float | None:
        """Seconds until the next attempt; None when the Lease is ours."""
        self._turned = self.gate.clock()
        try:
            async with asyncio.timeout(self.pace.request):
                await self.lease.poll()
                free_in = self.lease.free_in()
                if free_in <= 0 and self._holds(await self.lease.take()):
                    return None
        except (ModelwardError, TimeoutError) as error:
            self._failed(error)
            return self.pace.until_poll()
        self._trouble = ""
        return min(free_in, self.pace.until_poll()) if free_in > 0 else self.pace.until_poll()

    async def _lead(self, term: Term) -> None:
        """Work until the Lease is lost. Nothing of the work is left running at the end."""
        logger.info("leading, by %s", self.lease)
        self._trouble = ""
        tasks = [asyncio.ensure_future(term()), asyncio.ensure_future(self._hold())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.gate.shut()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _hold(self) -> None:
        """Renew until that has failed for too long, or the Lease is somebody else's."""
        while True:
            await asyncio.sleep(self.pace.until_renewal())
            self._turned = self.gate.clock()
            if self.gate.left() <= 0:
                logger.error(
                    "leading no longer: not renewed in time; %s", self._trouble or "stopped for a while"
                )
                return
            try:
                async with asyncio.timeout(min(self.pace.request, self.gate.left())):
                    if not self._holds(await self.lease.renew()):
                        logger.error("leading no longer: %s is not ours any more", self.lease)
                        return
            except (ModelwardError, TimeoutError) as error:
                self._failed(error)
            else:
                self._trouble = ""

    def _holds(self, sent: float | None) -> bool:
        """Whether the Lease is ours. If so the gate is open from when that was sent: nobody saw it sooner."""
        if sent is None:
            return False
        self.gate.open(sent + self.pace.renew_deadline)
        return True

    async def _release(self) -> None:
        self.gate.shut()
        if not self.lease.is_ours:
            return
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                await self.lease.release()
            logger.info("released %s", self.lease)
        except (ModelwardError, TimeoutError) as error:
            logger.warning("%s is not released, others wait until it expires: %s", self.lease, error)

    def _failed(self, error: Exception) -> None:
        """Remember what is wrong; log it when it is new."""
        trouble = f"{self.lease}: {self._explained(error)}"
        if trouble != self._trouble:
            logger.warning("%s", trouble)
        self._trouble = trouble

    def _explained(self, error: Exception) -> str:
        match error:
            case ApiError(status=403):
                return (
                    "no right to it; apply the Role modelward-leader-election (manifests/base/leader-election.yaml),"
                    f" or run a single operator with --no-leader-election ({error.message})"
                )
            case NotFound():
                return (
                    "it cannot be made; create the namespace, name another one with --lease-namespace,"
                    f" or run a single operator with --no-leader-election ({error.message})"
                )
            case TimeoutError():
                return f"no answer within {self.pace.request:g} s"
            case _:
                return str(error)
