"""Leader election under a virtual clock: one leads at a time whatever the network does, and another soon takes over."""

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from modelward.clients.kube import Kube
from modelward.clients.write_gate import Gate
from modelward.errors import Refused
from modelward.leader.leader import Leader, Pace
from modelward.leader.lease import Lease
from support import virtual_time
from unit.leader.lease_server import LeaseServer, Wire

LEASE_SECONDS = 15
LONGEST_TAKEOVER_SECONDS = 17.0


@dataclass(eq=False)
class Operator:
    """One candidate: what it works, and what the tests may do to it."""

    name: str
    wire: Wire
    drift: float = 1.0
    """Its clock's seconds per true second; it also started at another number than the others'."""
    pace: Pace = field(default_factory=Pace)
    terms: int = 0
    works: bool = False
    leader: Leader = field(init=False)
    _task: "asyncio.Task[None] | None" = None

    def __post_init__(self) -> None:
        born = 1_000 * len(self.name) + self.name.encode()[-1]
        gate = Gate(clock=lambda: born + asyncio.get_running_loop().time() * self.drift)
        lease = Lease(
            kube=cast("Kube", self.wire),
            namespace="modelward-system",
            name="modelward",
            identity=self.name,
            seconds=LEASE_SECONDS,
            clock=gate.clock,
        )
        self.leader = Leader(lease=lease, gate=gate, pace=self.pace)

    async def work(self) -> None:
        """For ever."""
        self.terms += 1
        self.works = True
        try:
            await asyncio.sleep(10**9)
        finally:
            self.works = False

    def start(self) -> None:
        """As a process of its own."""
        self._task = asyncio.create_task(self.leader.run(self.work))

    async def stop(self) -> None:
        """By SIGTERM."""
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def kill(self) -> None:
        """By SIGKILL: nothing more is heard of it."""
        self.wire.cut = True
        assert self._task
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def may_write(self) -> bool:
        """Whether its gate is open."""
        return self.leader.gate.left() > 0


def operators(server: LeaseServer, count: int, **wire: Any) -> list[Operator]:
    """Started in the same moment."""
    made = [Operator(f"operator-{number}", Wire(server, **wire)) for number in range(count)]
    for each in made:
        each.start()
    return made


async def leading(candidates: list[Operator]) -> Operator:
    """The one that works, once there is one."""
    while True:
        if found := [each for each in candidates if each.works]:
            (only,) = found
            return only
        await asyncio.sleep(0.01)


async def takeover(rest: list[Operator]) -> float:
    """Virtual seconds until one of them works."""
    began = asyncio.get_running_loop().time()
    await leading(rest)
    return asyncio.get_running_loop().time() - began


def virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run to the end."""
    virtual_time.run(main)


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_one_of_many_that_start_at_once_leads(count: int) -> None:
    """And keeps on, with nobody else ever holding the lease."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, count)
        first = await leading(candidates)
        await asyncio.sleep(600)
        assert [each for each in candidates if each.works] == [first]
        assert [each for each in candidates if each.may_write] == [first]
        assert set(server.writes) == {first.name}
        assert first.terms == 1

    virtually(story())


def test_a_killed_leader_is_replaced_when_its_lease_ends() -> None:
    """Not sooner than the lease lasts, counted from its last renewal; not later than 17 s."""

    async def story() -> None:
        server = LeaseServer()
        for _ in range(20):
            server.stored = None
            candidates = operators(server, 3)
            first = await leading(candidates)
            await asyncio.sleep(random.Random(1).uniform(0, 5))
            await first.kill()
            rest = [each for each in candidates if each is not first]
            took = await takeover(rest)
            assert LEASE_SECONDS - Pace().retry <= took <= LONGEST_TAKEOVER_SECONDS
            for each in rest:
                await each.stop()

    virtually(story())


def test_a_leader_that_stops_gives_the_lease_back() -> None:
    """The next one does not wait until it expires; its work had ended before."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, 2)
        first = await leading(candidates)
        await asyncio.sleep(7)
        await first.stop()
        assert server.writes[-1] == ""
        assert (first.works, first.may_write) == (False, False)
        assert await takeover([each for each in candidates if each is not first]) <= Pace().retry

    virtually(story())


def test_a_standby_that_stops_leaves_the_lease_alone() -> None:
    """It is not its own to give back."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, 2)
        first = await leading(candidates)
        (other,) = (each for each in candidates if each is not first)
        await other.stop()
        assert "" not in server.writes
        assert other.terms == 0

    virtually(story())


def test_a_leader_that_is_cut_off_stops_before_another_may_begin() -> None:
    """It stands by afterwards, in the same process, and leads again when it is its turn."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, 2)
        first = await leading(candidates)
        await asyncio.sleep(5)
        first.wire.cut = True
        await asyncio.sleep(Pace().renew_deadline)
        assert not first.may_write
        (other,) = (each for each in candidates if each is not first)
        assert not other.works
        await leading([other])
        assert not first.works
        assert "no answer" in first.leader.trouble()
        first.wire.cut = False
        await asyncio.sleep(20)
        assert first.leader.trouble() == ""
        await other.stop()
        assert await leading([first]) is first
        assert first.terms == 2

    virtually(story())


def test_a_leader_whose_lease_was_taken_stops_at_once() -> None:
    """By whatever took it: a person, another program."""

    async def story() -> None:
        server = LeaseServer()
        (only,) = operators(server, 1)
        await leading([only])
        assert server.stored
        server.stored["spec"]["holderIdentity"] = "somebody"
        server.stored["metadata"]["resourceVersion"] = "1000"
        await asyncio.sleep(2 * Pace().retry)
        assert not only.works
        assert not only.may_write

    virtually(story())


def test_a_deleted_lease_ends_the_term_and_others_wait_as_for_a_silent_leader() -> None:
    """Its holder may not have noticed."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, 3)
        first = await leading(candidates)
        await asyncio.sleep(5)
        first.wire.cut = True
        server.stored = None
        took = await takeover([each for each in candidates if each is not first])
        assert took >= LEASE_SECONDS
        assert not first.works

    virtually(story())


def test_answers_that_are_lost_do_not_lose_the_lease() -> None:
    """The renewal was stored: the conflict of the next one is our own doing."""

    async def story() -> None:
        server = LeaseServer()
        (only,) = operators(server, 1)
        await leading([only])
        for _ in range(20):
            only.wire.loses_answers = True
            await asyncio.sleep(3)
            only.wire.loses_answers = False
            await asyncio.sleep(5)
        assert only.terms == 1

    virtually(story())


def test_a_missing_right_is_explained_and_gone_when_it_is_granted() -> None:
    """The words name the Role; the process stays and tries again."""

    async def story() -> None:
        server = LeaseServer()
        (only,) = operators(server, 1)
        only.wire.broken = Refused(403, "Forbidden", 'cannot get resource "leases"')
        await asyncio.sleep(5)
        assert "Role modelward-leader-election" in only.leader.trouble()
        assert "--no-leader-election" in only.leader.trouble()
        assert not only.may_write
        only.wire.broken = None
        await leading([only])
        assert only.leader.trouble() == ""

    virtually(story())


def test_an_error_of_the_work_ends_the_process_and_gives_the_lease_back() -> None:
    """It is a bug; another replica may have more luck."""

    async def broken() -> None:
        raise ZeroDivisionError

    async def story() -> None:
        server = LeaseServer()
        only = Operator("only", Wire(server))
        with pytest.raises(ZeroDivisionError):
            await only.leader.run(broken)
        assert server.writes[-1] == ""

    virtually(story())


def test_a_process_that_does_not_poll_its_lease_is_stuck() -> None:
    """Liveness shows; a candidate and a leader that work are not."""

    async def story() -> None:
        server = LeaseServer()
        candidates = operators(server, 2)
        await asyncio.sleep(3600)
        assert [each.leader.stuck() for each in candidates] == ["", ""]
        await candidates[0].stop()
        await asyncio.sleep(61)
        assert "was not polled" in candidates[0].leader.stuck()

    virtually(story())


async def mischief(candidates: list[Operator], server: LeaseServer, chance: random.Random) -> None:
    """Cut off, recover, stop and start again, at random, for ever."""
    while True:
        await asyncio.sleep(chance.uniform(0, 12))
        victim = chance.choice(candidates)
        match chance.choice(["cut", "recover", "recover", "lose answers", "stop", "kill"]):
            case "cut":
                victim.wire.cut = True
            case "recover":
                victim.wire.cut = victim.wire.loses_answers = False
            case "lose answers":
                victim.wire.loses_answers = True
            case "stop" | "kill" as how:
                await (victim.stop() if how == "stop" else victim.kill())
                candidates.remove(victim)
                candidates.append(_successor(victim, server, chance))


def _successor(old: Operator, server: LeaseServer, chance: random.Random) -> Operator:
    """A new process in the place of an ended one."""
    wire = Wire(server, chance, slowest=old.wire.slowest)
    new = Operator(f"{old.name}'", wire, drift=old.drift)
    new.start()
    return new


@pytest.mark.parametrize("seed", range(8))
def test_two_never_write_at_once(seed: int) -> None:
    """Half an hour of a bad network, deaths, and clocks that differ by 1 %: of all gates at most one is open."""

    async def story() -> None:
        chance = random.Random(seed)
        server = LeaseServer()
        candidates = [
            Operator(
                f"operator-{number}",
                Wire(server, chance, slowest=chance.choice([0.01, 1.0, 4.0])),
                drift=chance.uniform(0.99, 1.01),
            )
            for number in range(3)
        ]
        for each in candidates:
            each.start()
        everyone = set(candidates)
        trouble = asyncio.create_task(mischief(candidates, server, chance))
        polls_led = 0
        for _ in range(36_000):
            await asyncio.sleep(0.05)
            everyone.update(candidates)
            open_gates = [each.name for each in everyone if each.may_write]
            assert len(open_gates) <= 1, open_gates
            polls_led += len(open_gates)
        trouble.cancel()
        assert polls_led > 1_000, "somebody led for some of the time"
        assert len(set(server.writes) - {""}) > 2, "it changed hands"

    virtually(story())
