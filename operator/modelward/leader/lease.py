"""The Lease that operators share: who holds it, when it was last seen to change, and guarded writes of it.

Times of two machines are never compared. A candidate counts from when it *saw* the Lease change; the times inside
are for people. Every write carries the uid and the resourceVersion that it was decided from, so of two candidates
one succeeds, and a late request of a former holder changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from modelward.api.objects import Manifest
from modelward.api.times import format_micro
from modelward.clients.clock import boot_seconds
from modelward.clients.kube import Kube, Metadata
from modelward.clients.resources import LEASE
from modelward.errors import AlreadyExists, Conflict, NotFound
from modelward.leader.identity import is_dead

_RELEASED_FOR_SECONDS: Final = 1
"""As client-go leaves it: a candidate that does not know of release must not wait for long either."""


class _Spec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Seen(msgspec.Struct, frozen=True):
    metadata: Metadata
    spec: _Spec = _Spec()


_NOWHERE: Final = Metadata(name="", uid="", resource_version="")
_UNSEEN: Final = _Seen(_NOWHERE)


@dataclass(slots=True, kw_only=True)
class Lease:
    """One Lease, as this process last saw it. All methods that ask raise ApiError and Unreachable."""

    kube: Kube
    """A client of its own: a renewal goes past the write gate, and waits for nobody's connection."""
    namespace: str
    name: str
    identity: str
    """Of this process, never used before by another one."""
    seconds: int
    """How long others wait after the last renewal that they saw."""
    clock: Callable[[], float] = boot_seconds
    _seen: _Seen = _UNSEEN
    _changed: float = 0.0
    """When a change of it was last seen."""

    def __str__(self) -> str:
        return f"Lease {self.namespace}/{self.name}"

    @property
    def holder(self) -> str:
        """Identity of the holder; empty when it is free, or was not read yet."""
        return self._seen.spec.holder_identity or ""

    @property
    def is_ours(self) -> bool:
        """Whether this process held it when it was last seen."""
        return self._exists and self.holder == self.identity

    async def poll(self) -> None:
        """See it as it is. One that is gone is remembered: its holder may not know yet that it is."""
        try:
            self._see(await self.kube.get(LEASE, self.namespace, self.name))
        except NotFound:
            if self._exists:
                self._seen = _Seen(_NOWHERE, self._seen.spec)
                self._changed = self.clock()

    def free_in(self) -> float:
        """Seconds until it may be taken; none or less when it may be at once."""
        if self.holder in ("", self.identity) or is_dead(self.holder):
            return 0.0
        lasts = self._seen.spec.lease_duration_seconds or self.seconds
        return self._changed + lasts - self.clock()

    async def take(self) -> float | None:
        """Make it ours. Returns when that was sent; None when another one was quicker."""
        now, before = format_micro(datetime.now(UTC)), self._seen.spec
        spec = _Spec(
            holder_identity=self.identity,
            lease_duration_seconds=self.seconds,
            acquire_time=now,
            renew_time=now,
            lease_transitions=(before.lease_transitions or 0) + 1 if before.acquire_time else 0,
        )
        try:
            return await (self._write(spec) if self._exists else self._create(spec))
        except (Conflict, AlreadyExists):
            return None

    async def renew(self) -> float | None:
        """Say that we are alive. Returns when that was sent; None when the Lease is not ours any more."""
        try:
            return await self._write(self._renewed())
        except (Conflict, NotFound):  # perhaps by a request of ours that had no answer
            await self.poll()
            return await self._write(self._renewed()) if self.is_ours else None

    async def release(self) -> None:
        """Give it back, so that the next one need not wait. Raises Conflict when it was taken from us."""
        spec = self._renewed()
        await self._write(
            msgspec.structs.replace(spec, holder_identity="", lease_duration_seconds=_RELEASED_FOR_SECONDS)
        )

    @property
    def _exists(self) -> bool:
        return bool(self._seen.metadata.uid)

    def _renewed(self) -> _Spec:
        now = format_micro(datetime.now(UTC))
        return msgspec.structs.replace(self._seen.spec, lease_duration_seconds=self.seconds, renew_time=now)

    async def _create(self, spec: _Spec) -> float:
        sent = self.clock()
        manifest = {
            "apiVersion": f"{LEASE.group}/{LEASE.version}",
            "kind": LEASE.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": msgspec.to_builtins(spec),
        }
        self._see(await self.kube.create(LEASE, manifest))
        return sent

    async def _write(self, spec: _Spec) -> float:
        sent = self.clock()
        change = {"op": "add", "path": "/spec", "value": msgspec.to_builtins(spec)}
        guard = self._seen.metadata
        self._see(await self.kube.patch(LEASE, self.namespace, self.name, guard=guard, operations=[change]))
        return sent

    def _see(self, raw: Manifest) -> None:
        seen = msgspec.convert(raw, _Seen)
        if seen.spec != self._seen.spec:
            self._changed = self.clock()
        self._seen = seen
