"""An API server that knows one Lease, and whose network loses and delays what it is asked to."""

import asyncio
import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from modelward.api.objects import Manifest
from modelward.clients.resources import Resource
from modelward.errors import AlreadyExists, Conflict, NotFound, Unreachable


@dataclass
class LeaseServer:
    """What is stored, by the rules of resourceVersion."""

    stored: Manifest | None = None
    writes: list[str] = field(default_factory=list)
    """The holder after each write."""
    _version: int = 0

    def get(self) -> Manifest:
        """Raises NotFound."""
        if self.stored is None:
            raise NotFound(404, "NotFound", "leases not found")
        return copy.deepcopy(self.stored)

    def create(self, manifest: Manifest) -> Manifest:
        """Raises AlreadyExists."""
        if self.stored is not None:
            raise AlreadyExists(409, "AlreadyExists", "leases already exists")
        return self._store(manifest["spec"], f"uid-{self._version + 1}")

    def patch(self, guard: Any, spec: dict[str, Any]) -> Manifest:
        """Raises NotFound, Conflict."""
        metadata = self.get()["metadata"]
        if (metadata["uid"], metadata["resourceVersion"]) != (guard.uid, guard.resource_version):
            raise Conflict(409, "Conflict", "the object has been modified")
        return self._store(spec, metadata["uid"])

    def _store(self, spec: dict[str, Any], uid: str) -> Manifest:
        self._version += 1
        metadata = {"name": "modelward", "uid": uid, "resourceVersion": str(self._version)}
        self.stored = {"metadata": metadata, "spec": spec}
        self.writes.append(spec["holderIdentity"])
        return self.get()


@dataclass
class Wire:
    """One client's way to the server; stands in for Kube."""

    server: LeaseServer
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    slowest: float = 0.0
    """Seconds that a request or an answer may take."""
    cut: bool = False
    """Nothing comes through, in either direction; requests already on their way still arrive."""
    broken: Exception | None = None
    """Raised instead of asking."""
    loses_answers: bool = False

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest:
        """The Lease."""
        del resource, namespace, name  # there is only the one
        return await self._carry(self.server.get)

    async def create(self, resource: Resource, manifest: Manifest) -> Manifest:
        """A new Lease."""
        del resource
        return await self._carry(self.server.create, manifest)

    async def patch(
        self, resource: Resource, namespace: str, name: str, *, guard: Any, operations: Sequence[Any]
    ) -> Manifest:
        """A changed Lease."""
        del resource, namespace, name
        (operation,) = operations
        return await self._carry(self.server.patch, guard, operation["value"])

    async def _carry(self, carried_out: Any, *arguments: Any) -> Manifest:
        """The request may arrive although nobody waits for its answer any more."""
        if self.broken:
            raise self.broken
        if self.cut:
            await asyncio.sleep(3600)
        answer = asyncio.ensure_future(self._arrive(carried_out, *arguments))
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        found = await asyncio.shield(answer)
        await asyncio.sleep(self._delay())
        if self.cut or self.loses_answers:
            raise Unreachable("the connection was reset")
        return found

    async def _arrive(self, carried_out: Any, *arguments: Any) -> Manifest:
        await asyncio.sleep(self._delay())
        found: Manifest = carried_out(*arguments)
        return found

    def _delay(self) -> float:
        return self.chance.uniform(0, self.slowest)
