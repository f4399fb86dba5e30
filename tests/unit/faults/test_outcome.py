"""What two runs are compared by, the sample that CI runs, and the table that people read."""

import pytest

from faults.enumeration import Point, sample
from faults.lane import Crash, Result
from faults.outcome import differences, outcome, unsettled
from faults.plan import Moment
from faults.recorder import Raw, Seen
from faults.story import World, replay
from faults.table import as_table, failures, rows
from faults.workloads import WORKLOADS, at_rest
from unit.faults.test_invariants import AUTOSCALER
from unit.faults.worlds import NOW, condition, cr, deployment, edited, pod, service, world

RESTING = cr(
    canaryRevision="",
    rollout=None,
    conditions=[condition("Ready")],
    history=[{"revision": "old", "result": "Promoted"}],
)


def resting(*more: Raw, name: str = "m") -> World:
    """A model of which one revision serves."""
    objects = [
        edited(RESTING, "metadata.name", name),
        edited(deployment("old", 2, status={"readyReplicas": 2}), "metadata.name", f"{name}-old"),
        edited(service("old"), "metadata.name", name),
        pod("a", "old"),
        pod("b", "old"),
        *more,
    ]
    for raw in objects:
        if "labels" in raw["metadata"]:
            raw["metadata"]["labels"]["modelward.dev/model"] = name
    return World(name, {(raw["kind"], raw["metadata"]["name"]): raw for raw in objects})


def reported(world: World) -> list[Seen]:
    """The story of which a world is the end."""
    return [
        Seen(version=number, time=NOW, kind=at[0], raw=raw)
        for number, (at, raw) in enumerate(world.objects.items(), 1)
    ]


def compared(one: World, other: World) -> list[str]:
    """The differences of what two worlds come to."""
    return list(differences(outcome(one, reported(one)), outcome(other, reported(other))))


def test_names_make_no_difference() -> None:
    """Two models that went the same way are equal."""
    assert compared(resting(name="one-1"), resting(name="other-2")) == []


@pytest.mark.parametrize(
    ("more", "what"),
    [
        pytest.param(deployment("new", 1), "L2: Deployment MODEL-new", id="a child that is left"),
        pytest.param(edited(deployment("old", 3), "x", 0), "L2: Deployment MODEL-old", id="another count"),
        pytest.param(service("new"), "L2: Service MODEL", id="another selector"),
        pytest.param(
            edited(RESTING, "status.history", [{"revision": "old", "result": "Aborted"}]),
            "L2: ModelDeployment MODEL",
            id="another history",
        ),
        pytest.param(pod("c", "old"), "L1: pods of old", id="a pod more"),
    ],
)
def test_differences(more: Raw, what: str) -> None:
    """Each is reported."""
    assert any(each.startswith(what) for each in compared(resting(more), resting()))


def test_made_twice() -> None:
    """A child that was made anew on the way is reported, though the end is the same."""
    world = resting()
    before = Seen(version=0, time=NOW, kind="Service", raw=edited(service("old"), "metadata.uid", "first"))
    twice = outcome(world, [before, *reported(world)])
    assert list(differences(twice, outcome(world, reported(world)))) == [
        "L1: made Service MODEL: 2, undisturbed 1"
    ]


def test_owned_beside_an_autoscaler() -> None:
    """S7 at the end."""
    fields = [{"manager": "modelward", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
    owned = edited(edited(deployment("old", 2), "metadata.name", "m-old"), "metadata.managedFields", fields)
    assert list(unsettled(resting(AUTOSCALER, owned)))
    assert not list(unsettled(resting(owned)))


def test_rest() -> None:
    """One ready revision and nothing under way; not with a second one, a rollout, or a spec that was not seen."""
    assert at_rest(resting())
    assert not at_rest(world())
    assert not at_rest(resting(deployment("new", 0)))
    assert not at_rest(resting(pod("c", "new")))
    assert not at_rest(resting(edited(RESTING, "metadata.generation", 3)))


def test_replay() -> None:
    """Each change comes with the world before it, and nothing of other models."""
    seen = [*reported(resting()), *reported(resting(name="other"))]
    steps = [(len(world.objects), str(change)) for world, change in replay("m", seen, [])]
    assert steps[0] == (0, "ModelDeployment/m made")
    assert [count for count, _ in steps] == list(range(len(resting().objects)))


def points() -> list[Point]:
    """Ten writes of each workload."""
    return [Point(each, Crash(number=n, moment=Moment.STORED)) for each in WORKLOADS for n in range(1, 11)]


def test_sample() -> None:
    """The same for a seed, another for another, and some of each workload."""
    drawn = sample(points(), len(WORKLOADS), 1)
    assert drawn == sample(points(), len(WORKLOADS), 1) != sample(points(), len(WORKLOADS), 2)
    assert {each.workload.name for each in drawn} == {each.name for each in WORKLOADS}


def test_table() -> None:
    """Counts, times and how to see a failure again."""
    crash = Crash(number=2, moment=Moment.UNSENT)
    results = [
        Result(workload="scale", writes=7, seconds=3.0),
        Result(workload="scale", crash=crash, struck="PATCH x", late=1.0),
        Result(workload="scale", crash=crash, struck="PATCH x", late=2.0, problems=["S1: bad"]),
        Result(workload="scale", crash=crash),
    ]
    (row,) = rows(results)
    assert (row.writes, row.tried, row.held, row.unreached, row.late_most) == (7, 2, 1, 1, 2.0)
    assert "| scale | 7 | 2 | 1 | 1 | 3.0 | 1.0 | 2.0 | 2.0 |" in as_table(results)
    (failure,) = failures(results)
    assert 'python -m faults --workload "scale" --write 2 --moment UNSENT' in failure
