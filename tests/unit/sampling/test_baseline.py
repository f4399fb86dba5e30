"""At rest: one budget for the fleet, every model in its turn, and a history that a rollout can begin with."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from modelward.analysis.noise import Noise, encode
from modelward.analysis.readings import Arm
from modelward.api.objects import Key
from modelward.clients.scrape import Scraper
from modelward.rollout.observed import Pod
from modelward.sampling.baseline import MOST_BASELINE_PODS, ROUND_SECONDS, Baseline, BaselineModel
from modelward.sampling.pods import PodSource
from modelward.sampling.subject import Endpoint, Side
from support.faulty_server import Behaviour, hanging
from unit.sampling.fleet import KEY, METRICS, STABLE, WANTED, Fleet, counting, fleet

WINDOW = 3 * ROUND_SECONDS


class World:
    """Models at rest on a clock of their own, and how often each was read."""

    def __init__(self, pods: Fleet, keys: Sequence[Key], *, rate: float, pods_each: int) -> None:
        self.now = 1_763_800_000.0
        self.keys = list(keys)
        self.busy: set[Key] = set()
        self.read: Counter[Key] = Counter()
        self.pods_each = pods_each
        self.fleet = pods
        self.scraper = Scraper(timeout=0.2)
        self.kept: dict[Key, str] = {}
        self.woken: list[Key] = []
        self.rest = Baseline(
            pods=PodSource(self.scraper, self._watched),
            models=lambda: list(self.keys),
            model_of=self._poll,
            clock=lambda: self.now,
            scrapes_per_second=rate,
            window_seconds=WINDOW,
            sleep=self._sleep,
            remembered=lambda key, _revision: self.kept.get(key, ""),
            wake=self.woken.append,
        )

    async def rounds(self, number: int) -> None:
        """Let as many rounds go by."""
        for _ in range(number):
            await self.rest.round()

    def noise(self, key: Key = KEY) -> Noise:
        """What is known of a model."""
        return self.rest.noise(key, STABLE, METRICS)

    def _watched(self, key: Key) -> list[Pod]:
        self.read[key] += 1
        return self.fleet.watched(key)

    def _poll(self, key: Key) -> BaselineModel | None:
        if key in self.busy:
            return None
        side = Side(revision=STABLE, wanted=WANTED, endpoint=Endpoint(port=self.fleet.port, path="/metrics"))
        return BaselineModel(key=key, side=side, metrics=METRICS, pods=self.pods_each)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


@asynccontextmanager
async def _world(
    *behaviours: Behaviour, models: int = 1, rate: float = 20, pods_each: int = 1
) -> AsyncIterator[World]:
    async with fleet(*((Arm.STABLE, behaviour) for behaviour in behaviours)) as pods:
        keys = [KEY, *((KEY[0], f"model-{number}") for number in range(models - 1))]
        world = World(pods, keys, rate=rate, pods_each=pods_each)
        try:
            yield world
        finally:
            await world.scraper.close()


async def test_a_model_at_rest_gets_a_history() -> None:
    """Read every five seconds, its counts are summed up; a rollout begins with that."""
    async with _world(counting(per_poll=1000, errors=10), counting(per_poll=1000, errors=10)) as world:
        await world.rounds(10)
        known = world.noise().reference().metrics["errors"]
        assert known.hits / known.total == pytest.approx(0.01)
        assert known.total > 10_000
        assert world.read[KEY] == 10


@pytest.mark.parametrize("rate", [0.4, 1, 20])
async def test_the_budget_is_kept_and_everybody_has_a_turn(rate: float) -> None:
    """However many models there are: so many scrapes in a round at most, and none is passed over."""
    models = 12
    async with _world(counting(), models=models, rate=rate) as world:
        most = 0
        windows = -(-models // int(rate * ROUND_SECONDS))
        for _ in range(windows * int(WINDOW / ROUND_SECONDS + 2)):
            before = world.read.total()
            await world.rounds(1)
            most = max(most, world.read.total() - before)
        assert most <= rate * ROUND_SECONDS
        assert set(world.read) == set(world.keys)


async def test_many_pods_cost_no_more_than_some() -> None:
    """Of a large model a few are read, and always the same."""
    async with _world(*[counting()] * (MOST_BASELINE_PODS + 4), pods_each=MOST_BASELINE_PODS + 4) as world:
        await world.rounds(3)
        polls = sorted(len(server.heads) for server in world.fleet.servers)
        assert polls == [0] * 4 + [3] * MOST_BASELINE_PODS


async def test_a_history_outlives_its_window_and_not_its_model() -> None:
    """Between two windows it is a text; a model that is gone leaves nothing behind."""
    async with _world(counting(per_poll=1000)) as world:
        await world.rounds(4)
        total = world.noise().reference().metrics["errors"].total
        world.busy.add(KEY)
        await world.rounds(1)
        assert world.noise().reference().metrics["errors"].total == pytest.approx(total)
        assert world.read[KEY] == 4
        world.keys.clear()
        await world.rounds(1)
        assert not world.noise().reference().metrics


@pytest.mark.parametrize("per_poll", [1000, 1])
async def test_f14_what_is_known_well_is_handed_over_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, per_poll: int
) -> None:
    """After so long, and with so many cases, whichever is later; its model is woken for it, once."""
    monkeypatch.setattr("modelward.sampling.baseline.RIPE_SECONDS", 6 * ROUND_SECONDS)
    async with _world(counting(per_poll=per_poll, errors=0)) as world:
        await world.rounds(6)
        assert not world.rest.ripe(KEY, STABLE)
        await world.rounds(4)
        ripe = world.rest.ripe(KEY, STABLE)
        assert bool(ripe) is (per_poll == 1000)
        assert world.woken == ([KEY] if ripe else [])
        assert not world.rest.ripe(KEY, "another")


async def test_f14_another_leader_begins_with_what_was_kept() -> None:
    """Until it has a history of its own."""
    async with _world(counting(per_poll=1000, errors=10)) as world:
        await world.rounds(6)
        kept = encode(world.noise())
    async with _world(counting(per_poll=1000, errors=10)) as world:
        world.kept[KEY] = kept
        before = world.noise().reference().metrics["errors"].total
        assert before > 4000
        await world.rounds(4)
        assert world.noise().reference().metrics["errors"].total > before


@pytest.mark.parametrize("kept", ["", "[]", "no JSON", "[1,{}]", '[1,{"errors":[[],[1,2],5,[[[1],[-20]]]]}]'])
async def test_f14_what_somebody_wrote_in_its_place_is_no_history(kept: str) -> None:
    """It is not believed, and hurts nobody."""
    async with _world(counting()) as world:
        world.kept[KEY] = kept
        assert not world.noise().reference().metrics


async def test_another_revision_begins_anew() -> None:
    """What the last version did says nothing about the noise of this one."""
    async with _world(counting(per_poll=1000)) as world:
        await world.rounds(4)
        assert not world.rest.noise(KEY, "another", METRICS).reference().metrics


async def test_no_budget_is_no_reading() -> None:
    """A fleet may be left alone."""
    async with _world(counting(), rate=0) as world:
        await world.rounds(3)
        assert not world.read


async def test_a_pod_that_hangs_is_passed_over() -> None:
    """The others show enough."""
    async with _world(hanging, counting(per_poll=1000)) as world:
        await world.rounds(3)
        assert world.noise().reference().metrics["errors"].total == pytest.approx(2000, rel=0.01)


async def test_f04_a_model_that_cannot_be_read_at_rest_is_no_one_elses_trouble() -> None:
    """An error that nobody foresaw ends the reading of one model; the others of its round are read on."""
    async with _world(counting(), models=3) as world:
        watched = world.fleet.watched

        def odd(key: Key) -> list[Pod]:
            if key == KEY:
                raise RuntimeError("a bug")
            return watched(key)

        world.fleet.watched = odd  # type: ignore[method-assign]  # a bug, as it were
        await world.rounds(2)
        for number in range(2):
            assert world.noise((KEY[0], f"model-{number}")).sums
