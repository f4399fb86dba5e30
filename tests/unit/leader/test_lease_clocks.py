"""Clocks on the wall that differ: what a Lease says of the time is for people, and nobody counts with it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelward.api.objects import Manifest
from modelward.leader import leader
from support import virtual_time
from unit.leader.lease_server import LeaseServer
from unit.leader.test_leader import LEASE_SECONDS, LONGEST_TAKEOVER_SECONDS, leading, operators, takeover

Clock = Callable[[int], str]
"""What the n-th write of a Lease says of the time."""
CLOCKS = [
    pytest.param(lambda n: f"1970-01-01T00:00:00.{n:06d}Z", id="decades late"),
    pytest.param(lambda n: f"2400-01-01T00:00:00.{n:06d}Z", id="centuries ahead"),
    pytest.param(lambda n: f"2026-11-22T12:00:00.{999_999 - n:06d}Z", id="backwards"),
    pytest.param(lambda n: f"{2000 + 37 * n % 400}-11-22T12:00:00.{n:06d}Z", id="to and fro"),
]


def say(server: LeaseServer, clock: Clock) -> None:
    """Have the Lease show such times, whoever writes it."""
    store = server._store

    def skewed(spec: dict[str, Any], uid: str) -> Manifest:
        time = clock(len(server.writes))
        return store({**spec, "renewTime": time, "acquireTime": time}, uid)

    server._store = skewed  # type: ignore[method-assign]  # the one place through which all writes go


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_time_in_a_lease_takes_it_from_a_leader_that_renews(clock: Clock) -> None:
    """For an hour the others see a time that says anything, and stand by."""

    async def story() -> None:
        server = LeaseServer()
        say(server, clock)
        candidates = operators(server, 3)
        first = await leading(candidates)
        await asyncio.sleep(3600)
        assert [each for each in candidates if each.works or each.may_write] == [first]
        assert set(server.writes) == {first.name}

    virtual_time.run(story())


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_time_in_a_lease_keeps_it_from_the_next_leader(clock: Clock) -> None:
    """A dead leader's Lease lasts as long as it says in seconds, from when it was last seen to change."""

    async def story() -> None:
        server = LeaseServer()
        say(server, clock)
        candidates = operators(server, 3)
        first = await leading(candidates)
        await asyncio.sleep(60)
        await first.kill()
        took = await takeover([each for each in candidates if each is not first])
        shortest = LEASE_SECONDS - first.pace.retry - leader._RELEASE_SECONDS  # in vain, before it is dead
        assert shortest <= took <= LONGEST_TAKEOVER_SECONDS

    virtual_time.run(story())
