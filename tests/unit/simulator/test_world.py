"""The cluster of a rehearsal behaves as a real one where a rollout meets it."""

from typing import Any, Final

import pytest

from builders import NAME, NAMESPACE, manifest
from modelward.api.objects import Manifest
from modelward.cache.convert import pod as converted
from modelward.simulator.api_server import Write
from modelward.simulator.json_patch import Mismatch, patched
from modelward.simulator.simulation import Act, Simulation
from modelward.simulator.world import GatewayBehaviour, Version, World

GATEWAY: Final = {"gateway": {"parentRefs": [{"name": "public"}]}}


def simulate(world: World, *acts: Act, until: float, **spec: Any) -> Simulation:
    """One model, created at second 0."""
    raw = manifest("1", **spec)
    created = Act(second=0, words="creates", do=lambda sim: (sim.server.create(raw, "kubectl"), None)[1])
    simulation = Simulation([created, *acts], world=world)
    simulation.run(until=until)
    return simulation


def pods(simulation: Simulation) -> list[Manifest]:
    """All pods, by name."""
    return list(simulation.server.find("Pod"))


def test_a_crash_is_followed_by_a_restart_and_then_by_longer_and_longer_pauses() -> None:
    """As the kubelet does: at once, after 10 s, after 20 s; with the words that the operator reads."""
    world = World(versions={"1": Version(crash_after_seconds=1)})
    seen = []
    for second in (0.5, 1.5, 2.5, 11.5, 12.5, 13.5):
        (pod,) = pods(simulate(world, until=second, replicas=1))
        seen.append((second, converted(pod).restarts, bool(converted(pod).crash_looping)))
    assert seen == [
        (0.5, 0, False),
        (1.5, 1, False),
        (2.5, 1, True),
        (11.5, 1, True),
        (12.5, 2, False),
        (13.5, 2, True),
    ]


def test_out_of_memory_has_its_reason() -> None:
    """OOMKilled, with exit code 137."""
    world = World(versions={"1": Version(crash_after_seconds=3, out_of_memory=True)})
    (pod,) = pods(simulate(world, until=4, replicas=1))
    ended = converted(pod).ended
    assert ended
    assert (ended.reason, ended.code) == ("OOMKilled", 137)


def test_a_minority_crashes() -> None:
    """One pod in three, and always the same ones."""
    world = World(versions={"1": Version(crash_after_seconds=3, crashes_one_in=3)})
    found = pods(simulate(world, until=4, replicas=6))
    assert [converted(pod).restarts for pod in found] == [0, 0, 1, 0, 0, 1]


def test_pods_without_room_wait_until_there_is_some() -> None:
    """Unschedulable, in the scheduler's words; then they load."""
    world = World(room=1)
    simulation = simulate(world, until=10, replicas=2)
    waiting = [converted(pod) for pod in pods(simulation) if not simulation.nodes.is_ready(pod)]
    assert [pod.scheduled for pod in waiting] == [None]
    assert waiting[0].problem.startswith("not scheduled: 0/1 nodes are available")
    world.room = 2
    simulation.run(until=20)
    simulation.plan(Act(second=21, words="", do=lambda _: None))
    simulation.run(until=40)
    assert all(simulation.nodes.is_ready(pod) for pod in pods(simulation))


def test_an_evicted_pod_is_replaced() -> None:
    """It stays as a failed one, as the kubelet leaves it."""
    simulation = simulate(World(), until=10, replicas=1)
    revision = simulation.model()["status"]["stableRevision"]
    evict = Act(second=10, words="", do=lambda sim: sim.nodes.evict(revision))
    simulation.plan(evict)
    simulation.run(until=20)
    first, second = pods(simulation)
    assert converted(first).failed == "Evicted"
    assert simulation.nodes.is_ready(second)


@pytest.mark.parametrize(
    ("behaviour", "accepted", "generation"),
    [
        pytest.param(GatewayBehaviour(), "True", 1, id="takes it"),
        pytest.param(GatewayBehaviour(accepts=False), "False", 1, id="refuses it"),
        pytest.param(GatewayBehaviour(answers=False), "", 0, id="is not there"),
        pytest.param(GatewayBehaviour(delay_seconds=30), "", 0, id="lags"),
    ],
)
def test_a_gateway_reports_on_routes(behaviour: GatewayBehaviour, accepted: str, generation: int) -> None:
    """In `status.parents`, after its delay."""
    simulation = simulate(World(gateway=behaviour), until=10, traffic=GATEWAY)
    route = simulation.server.get("HTTPRoute", NAMESPACE, NAME)
    parents = (route.get("status") or {}).get("parents") or [{"conditions": [{}]}]
    condition = parents[0]["conditions"][0]
    assert (condition.get("status", ""), condition.get("observedGeneration", 0)) == (accepted, generation)


def test_requests_are_shared_by_the_ready_pods_and_counted() -> None:
    """60 a second for 10 s; those of the first 5 s, while nothing is ready, are lost."""
    world = World(versions={"1": Version(error_percent=10)})
    simulation = simulate(world, until=15, replicas=2)
    assert simulation.traffic.lost == pytest.approx(300)
    counted = list(simulation.traffic.counted.values())
    assert [round(each.total) for each in counted] == [300, 300]
    assert [round(each.errors) for each in counted] == [30, 30]
    assert all(each.buckets[-1] == pytest.approx(each.total) for each in counted)


def test_counters_begin_anew_when_a_container_does() -> None:
    """So that the operator's arithmetic of resets is played, too."""
    world = World(versions={"1": Version(load_seconds=1, crash_after_seconds=6)})
    simulation = simulate(world, until=8, replicas=1)
    (counted,) = simulation.traffic.counted.values()
    assert counted.started == 6
    assert counted.total == pytest.approx(60)
    assert simulation.traffic.answered.popitem()[1].total == pytest.approx(360)


def test_an_object_with_a_finalizer_goes_when_that_is_taken_off() -> None:
    """Until then it is marked."""
    simulation = simulate(World(), until=10)
    at = ("ModelDeployment", NAMESPACE, NAME)

    def hold(raw: Manifest) -> None:
        raw["metadata"]["finalizers"] = ["example.com/hold"]

    def let_go(raw: Manifest) -> None:
        raw["metadata"]["finalizers"] = []

    simulation.server.change(at, "kubectl", hold)
    simulation.server.delete(at, "kubectl")
    assert "deletionTimestamp" in simulation.model()["metadata"]
    simulation.server.change(at, "kubectl", let_go)
    assert at not in simulation.server.objects


def test_a_test_that_fails_keeps_the_whole_patch_from_being_done() -> None:
    """RFC 6902, section 5."""
    document = {"a": 1, "list": [{"b": 2}]}
    operations = [
        {"op": "add", "path": "/a", "value": 5},
        {"op": "test", "path": "/list/0/b", "value": 3},
    ]
    with pytest.raises(Mismatch, match="/list/0/b is 2, not 3"):
        patched(document, operations)
    assert document["a"] == 1


def test_a_recorder_sees_every_write_and_every_pause() -> None:
    """In the order in which things happen."""
    seen: list[str] = []

    class ObjectRecorder:
        def written(self, _: Simulation, write: Write, /) -> None:
            seen.append(write.place[0])

        def settled(self, simulation: Simulation, until: float, /) -> None:
            seen.append(f"{simulation.second:.0f} to {until:.0f}")

    raw = manifest("1")
    created = Act(second=0, words="", do=lambda sim: (sim.server.create(raw, "kubectl"), None)[1])
    Simulation([created], watch=ObjectRecorder()).run(until=5)
    assert seen[0] == "ModelDeployment"
    assert "0 to 5" in seen
