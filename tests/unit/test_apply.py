"""What is written of objects and what is not, on the rehearsal's API server: whole reconciles, no network."""

from collections.abc import Callable
from typing import Any

import pytest

from builders import NAME, NAMESPACE
from golden.acts import change, create, other, stable
from golden.script import judged
from modelward.rehearsal.api_server import ApiServer, Raw
from modelward.rehearsal.simulation import Act, Disturbance, Simulation, by_operator

LAG_SECONDS = 5.0


def played(*acts: Act, until: float = 60.0, lag: float = 0.0) -> Simulation:
    """A model that is served, and what happens to it; watches are late by `lag` seconds."""
    sim = Simulation(
        (create(0, **judged(replicas=2)), *acts), disturbance=Disturbance(delay_seconds=lambda: lag)
    )
    sim.run(until)
    return sim


def deployment(sim: Simulation) -> Raw:
    """The Deployment of the stable revision."""
    return sim.server.get("Deployment", NAMESPACE, f"{NAME}-{stable(sim)}")


def ready(sim: Simulation) -> Raw:
    """The condition Ready."""
    return condition(sim, "Ready")


def condition(sim: Simulation, kind: str) -> Raw:
    """A condition of the model."""
    return next(each for each in sim.model()["status"]["conditions"] if each["type"] == kind)


def rewriting(sim: Simulation) -> None:
    """Have a policy put the images of a mirror into every Deployment that is written."""

    def admit(raw: Raw) -> None:
        if raw["kind"] == "Deployment":
            container = raw["spec"]["template"]["spec"]["containers"][0]
            container["image"] = f"mirror.example.com/{container['image'].rpartition('/')[2]}"

    sim.server.admission = admit


POLICY = other(30, "rewrites images from now on", rewriting)


# --- F24: the count goes through /scale -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "replicas"),
    [
        pytest.param({"replicas": 4}, 4, id="more"),
        pytest.param({"replicas": 0}, 0, id="none"),
        pytest.param({"autoscaling": {"minReplicas": 2, "maxReplicas": 4}}, 2, id="an autoscaler takes over"),
    ],
)
def test_f24_a_count_brings_no_other_template(spec: dict[str, Any], replicas: int) -> None:
    """A policy that rewrites images, and came later, is not run on a Deployment that is only scaled."""
    image = image_of(deployment(played()))
    sim = played(POLICY, change(40, **spec))
    assert deployment(sim)["spec"]["replicas"] == replicas
    assert image_of(deployment(sim)) == image
    assert sim.errors == []


def image_of(raw: Raw) -> str:
    """The image of the model's container."""
    return str(raw["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("lag", [0.0, LAG_SECONDS])
def test_f24_a_count_is_set_once_however_late_the_watch_is(lag: float) -> None:
    """The answer of `/scale` is no Deployment; its version and count are remembered, so no write meets a 409."""
    sim = played(change(30, replicas=4), change(45, replicas=3), until=80, lag=lag)
    scaled = [write for _, write in sim.writes if by_operator(write) and write.subresource == "scale"]
    assert [write.object["spec"]["replicas"] for write in scaled] == [4, 3]
    assert [error for _, error in sim.errors if f" Deployment {NAME}-" in str(error)] == []


def test_f24_a_count_that_a_policy_changes_is_told_and_not_fought(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever clamps deployments/scale wins; the condition says so, and a try each few seconds suffices."""
    would = ApiServer.would

    def clamped(self: ApiServer, at: Any, edit: Callable[[Raw], Raw | None], *, subresource: str = "") -> Raw:
        after = would(self, at, edit, subresource=subresource)
        if subresource == "scale":
            after["spec"]["replicas"] = min(3, after["spec"]["replicas"])
        return after

    monkeypatch.setattr(ApiServer, "would", clamped)
    sim = played(change(30, replicas=9), until=90)
    assert "asked for 9 replicas, the API server stored 3" in ready(sim)["message"]
    assert ready(sim)["reason"] == "Refused"
    tries = [second for second, write in sim.writes if by_operator(write) and write.subresource == "scale"]
    assert len(tries) <= 15
