"""What is written of objects and what is not, on the rehearsal's API server: whole reconciles, no network."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest

from builders import NAME, NAMESPACE
from golden.acts import change, create, other, stable
from golden.script import judged
from modelward.api.objects import Manifest
from modelward.simulator.api_server import ApiServer, Refused
from modelward.simulator.json_patch import copied
from modelward.simulator.simulation import Act, Disturbance, Simulation, by_operator

LAG_SECONDS = 5.0


def played(*acts: Act, until: float = 60.0, lag: float = 0.0) -> Simulation:
    """A model that is served, and what happens to it; watches are late by `lag` seconds."""
    sim = Simulation(
        (create(0, **judged(replicas=2)), *acts), disturbance=Disturbance(delay_seconds=lambda: lag)
    )
    sim.run(until)
    return sim


def deployment(sim: Simulation) -> Manifest:
    """The Deployment of the stable revision."""
    return sim.server.get("Deployment", NAMESPACE, f"{NAME}-{stable(sim)}")


def ready(sim: Simulation) -> Manifest:
    """The condition Ready."""
    return condition(sim, "Ready")


def condition(sim: Simulation, kind: str) -> Manifest:
    """A condition of the model."""
    return next(each for each in sim.model()["status"]["conditions"] if each["type"] == kind)


def rewriting(sim: Simulation) -> None:
    """Have a policy put the images of a mirror into every Deployment that is written."""

    def admit(raw: Manifest) -> None:
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


def image_of(raw: Manifest) -> str:
    """The image of the model's container."""
    return str(raw["spec"]["template"]["spec"]["containers"][0]["image"])


@pytest.mark.parametrize("lag", [0.0, LAG_SECONDS])
def test_f24_a_count_is_set_once_however_late_the_watch_is(lag: float) -> None:
    """The answer of `/scale` is no Deployment; its version and count are remembered, so no write meets a 409."""
    sim = played(change(30, replicas=4), change(45, replicas=3), until=80, lag=lag)
    scaled = [write for _, write in sim.writes if by_operator(write) and write.subresource == "scale"]
    assert [write.object["spec"]["replicas"] for write in scaled] == [4, 3]
    assert [error for _, error in sim.errors if f" Deployment {NAME}-" in str(error)] == []


def test_f24_a_count_that_a_policy_changes_is_reported_and_not_fought(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever clamps deployments/scale wins; the condition says so, and a try each few seconds suffices."""
    would = ApiServer.would

    def clamped(
        self: ApiServer, at: Any, edit: Callable[[Manifest], Manifest | None], *, subresource: str = ""
    ) -> Manifest:
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


# --- F23: who gets a request is ours to say, how a Service is reached is the user's ---------------------------


def service(sim: Simulation) -> Manifest:
    """The Service of the model."""
    return sim.server.get("Service", NAMESPACE, NAME)


def edited(second: float, kind: str, edit: Callable[[Manifest], None]) -> Act:
    """Somebody changes the object of a kind that is called as the model is."""
    place = (kind, NAMESPACE, NAME)
    return other(second, f"edits the {kind}", lambda sim: sim.server.change(place, "kubectl-edit", edit))


TYPES = {"externalTrafficPolicy": "LoadBalancer", "type": None}
"""What the type is afterwards: the user's, or none, which the real API server takes for ClusterIP."""


@pytest.mark.parametrize(
    "change",
    [
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10}}},
        {"publishNotReadyAddresses": True},
        {"internalTrafficPolicy": "Local"},
        {"externalTrafficPolicy": "Local", "type": "LoadBalancer"},
        {"trafficDistribution": "PreferSameNode"},
        {"selector": {"app": "evil"}},
        {"type": "ExternalName", "externalName": "elsewhere.example.com"},
        {"ports": [{"name": "http", "port": 80, "targetPort": 9999, "protocol": "TCP", "nodePort": 30080}]},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("restarted", [False, True], ids=["seen", "while the operator is down"])
def test_f23_fields_that_steer_requests_are_ours(change: dict[str, Any], *, restarted: bool) -> None:
    """Changed by hand they are changed back, whoever set them and whenever; the rest of the Service stays."""
    restart = (other(30, "ends the operator", Simulation.restart),) if restarted else ()
    sim = played(edited(30, "Service", lambda raw: raw["spec"].update(change)), *restart)
    spec = service(sim)["spec"]
    assert spec["selector"] == {"modelward.dev/model": NAME, "modelward.dev/revision": stable(sim)}
    assert spec["ports"] == [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    assert spec.get("type") == TYPES.get(next(iter(change)), "ClusterIP")
    assert set(spec) <= {"selector", "ports", "type"}


@pytest.mark.parametrize("key", ["topology-mode", "topology-aware-hints"])
def test_f23_the_annotations_of_kubernetes_that_steer_requests_are_ours(key: str) -> None:
    """They do what `trafficDistribution` does; other annotations stay."""

    def edit(raw: Manifest) -> None:
        raw["metadata"]["annotations"] |= {f"service.kubernetes.io/{key}": "Auto", "team": "payments"}

    annotations = service(played(edited(30, "Service", edit)))["metadata"]["annotations"]
    assert annotations["team"] == "payments"
    assert not [each for each in annotations if "topology" in each]


REACHED: dict[str, Any] = {
    "type": "LoadBalancer",
    "allocateLoadBalancerNodePorts": True,
    "externalTrafficPolicy": "Cluster",
    "internalTrafficPolicy": "Cluster",
    "loadBalancerClass": "example.com/internal",
    "loadBalancerIP": "192.0.2.1",
    "loadBalancerSourceRanges": ["192.0.2.0/24"],
    "sessionAffinity": "None",
}


@pytest.mark.parametrize("restarted", [False, True], ids=["seen", "while the operator is down"])
def test_f23_how_a_service_is_reached_is_the_users(*, restarted: bool) -> None:
    """A type, node ports and what belongs to a load balancer stay, through a rollout as well; nothing is written for it."""

    def edit(raw: Manifest) -> None:
        raw["spec"] |= REACHED
        raw["spec"]["ports"][0]["nodePort"] = 30080

    restart = (other(30, "ends the operator", Simulation.restart),) if restarted else ()
    sim = played(edited(30, "Service", edit), *restart)
    assert [write for second, write in sim.writes if by_operator(write) and second > 29] == []
    assert service(sim)["spec"]["ports"][0]["nodePort"] == 30080
    later = played(edited(30, "Service", edit), *restart, change(40, "2"), until=400)
    spec = service(later)["spec"]
    assert spec["selector"]["modelward.dev/revision"] == stable(later) != stable(sim)
    assert REACHED.items() <= spec.items()


def test_f23_what_others_set_does_not_keep_a_service_from_being_written() -> None:
    """What the API server does not take beside ours (422) is removed, and the write is tried again at once."""

    def admit(raw: Manifest) -> None:
        if raw["kind"] == "Service" and "loadBalancerSourceRanges" in raw["spec"]:
            field = "spec.LoadBalancerSourceRanges"  # as Kubernetes spells it
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", "may not be set", field=field)

    def strict(sim: Simulation) -> None:
        sim.server.admission = admit

    sim = played(
        edited(30, "Service", lambda raw: raw["spec"].update(REACHED)),
        other(35, "takes no source ranges any more", strict),
        change(40, "2"),
        until=400,
    )
    assert service(sim)["spec"]["selector"]["modelward.dev/revision"] == stable(sim)
    assert "loadBalancerSourceRanges" not in service(sim)["spec"]
    assert ready(sim)["status"] == "True"
    assert sim.model()["status"]["history"][0]["result"] == "Promoted"


def test_f23_a_budget_that_others_made_invalid_is_written() -> None:
    """Not Services alone: `minAvailable` and our `maxUnavailable` exclude each other."""

    def admit(raw: Manifest) -> None:
        if raw["kind"] == "PodDisruptionBudget" and {"minAvailable", "maxUnavailable"} <= set(raw["spec"]):
            message = "minAvailable and maxUnavailable cannot be both set"
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, field="spec")

    def edit(raw: Manifest) -> None:
        del raw["spec"]["maxUnavailable"]
        raw["spec"]["minAvailable"] = "100%"

    def strict(sim: Simulation) -> None:
        sim.server.admission = admit

    sim = played(other(20, "is as strict as the real one", strict), edited(30, "PodDisruptionBudget", edit))
    spec = sim.server.get("PodDisruptionBudget", NAMESPACE, NAME)["spec"]
    assert spec["maxUnavailable"] == 1
    assert "minAvailable" not in spec


@pytest.mark.parametrize("refused", [False, True], ids=["corrected", "refused by a policy"])
def test_f18_one_edit_of_a_budget_is_no_fight_and_a_refusal_only_if_there_is_one(
    caplog: pytest.LogCaptureFixture, *, refused: bool
) -> None:
    """However often the correction is tried, one edit is reported as one edit."""

    def admit(raw: Manifest) -> None:
        if raw["kind"] == "PodDisruptionBudget" and "maxUnavailable" in raw["spec"]:
            both = "minAvailable" in raw["spec"]
            message = "minAvailable and maxUnavailable cannot be both set" if both else "a policy"
            if both or refused:
                raise Refused(
                    HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", message, field="spec" if both else ""
                )

    def edit(raw: Manifest) -> None:
        del raw["spec"]["maxUnavailable"]
        raw["spec"]["minAvailable"] = 1

    def strict(sim: Simulation) -> None:
        sim.server.admission = admit

    acts = other(20, "is as strict as the real one", strict), edited(30, "PodDisruptionBudget", edit)
    sim = played(*acts, until=200)
    events = [each["reason"] for each in sim.server.find("Event")]
    assert events.count("DriftCorrected") == (0 if refused else 1)
    assert events.count("Refused") == (1 if refused else 0)
    assert (ready(sim)["reason"] == "Refused") is refused
    assert "again and again" not in caplog.text


def test_f23_a_policy_that_refuses_once_takes_nothing_of_the_users() -> None:
    """It names no field, and a load balancer that is gone has clients without a way in."""
    struck: list[str] = []

    def admit(raw: Manifest) -> None:
        if raw["kind"] == "Service" and not struck:
            struck.append(raw["metadata"]["name"])
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", "a policy that is just being changed")

    def strict(sim: Simulation) -> None:
        sim.server.admission = admit

    sim = played(
        edited(30, "Service", lambda raw: raw["spec"].update(REACHED)),
        other(35, "is refused once", strict),
        change(40, "2"),
        until=400,
    )
    assert struck
    assert REACHED.items() <= service(sim)["spec"].items()
    assert sim.model()["status"]["history"][0]["result"] == "Promoted"


def test_f23_a_write_that_is_refused_whatever_others_set_is_reported() -> None:
    """What is refused in any case (a change freeze) is Refused, and nothing of the user's is lost by it."""

    def admit(raw: Manifest) -> None:
        if raw["kind"] == "Service":
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", "change freeze")

    def strict(sim: Simulation) -> None:
        sim.server.admission = admit

    sim = played(
        edited(25, "Service", lambda raw: raw["spec"].update(REACHED)),
        edited(30, "Service", lambda raw: raw["spec"].update(sessionAffinity="ClientIP")),
        other(30, "freezes Services", strict),
    )
    assert "change freeze" in ready(sim)["message"]
    assert service(sim)["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]


# --- F22: what is deleted and still there ---------------------------------------------------------------------

HOLD = "example.com/hold"


def held(raw: Manifest) -> None:
    """A foreign finalizer is on the object."""
    raw["metadata"]["finalizers"] = [HOLD]


def freed(raw: Manifest) -> None:
    """It is not there any more."""
    raw["metadata"]["finalizers"] = []


def deletes(second: float, kind: str) -> Act:
    """Somebody deletes the object of a kind that is called as the model is."""
    return other(
        second, f"deletes the {kind}", lambda sim: sim.server.delete((kind, NAMESPACE, NAME), "kubectl")
    )


def test_f22_a_service_that_is_kept_while_it_is_deleted_is_followed_and_made_anew() -> None:
    """It still leads to pods, so it is written as before; that it goes is reported; when it is gone there is another one."""
    acts = (edited(20, "Service", held), deletes(30, "Service"), change(40, "2"))
    sim = played(*acts, until=400)
    assert service(sim)["spec"]["selector"]["modelward.dev/revision"] == stable(sim)
    assert sim.model()["status"]["history"][0]["result"] == "Promoted"
    reported = f"Service {NAME} is deleted, kept by the finalizers {HOLD}."
    assert ready(sim)["message"].endswith(reported)
    assert condition(sim, "Available")["message"].endswith(reported)
    uid = service(sim)["metadata"]["uid"]
    later = played(*acts, edited(380, "Service", freed), until=400)
    assert service(later)["metadata"]["uid"] != uid
    assert "deletionTimestamp" not in service(later)["metadata"]
    assert "is deleted" not in ready(later)["message"]


def test_f22_what_is_not_wanted_and_kept_is_deleted_once_and_reported() -> None:
    """No request is repeated while a finalizer keeps it."""

    def kept(sim: Simulation) -> None:
        sim.server.change(("PodDisruptionBudget", NAMESPACE, NAME), "kubectl", held)

    sim = played(other(20, "puts a finalizer on the budget", kept), change(30, replicas=1), until=300)
    deleted = [write for _, write in sim.writes if "deletionTimestamp" in write.object["metadata"]]
    assert len(deleted) == 1
    assert f"PodDisruptionBudget {NAME} is deleted, kept by the finalizers {HOLD}." in ready(sim)["message"]
    assert sim.reconciles < 100


def test_f22_a_forged_snapshot_that_is_kept_holds_its_revision_up_and_says_so() -> None:
    """It is deleted once; the revision of its name waits until it is gone."""
    wanted = played(change(30, "2"), until=32)
    name = f"{NAME}-{wanted.model()['status']['canaryRevision']}"

    def forge(sim: Simulation) -> None:
        raw = copied(wanted.server.get("ControllerRevision", NAMESPACE, name))
        raw["metadata"] = {
            key: raw["metadata"][key] for key in ("name", "namespace", "labels", "ownerReferences")
        }
        raw["metadata"]["finalizers"] = [HOLD]
        sim.server.create({**raw, "data": {"content": "forged"}}, "mallory")

    def free(sim: Simulation) -> None:
        sim.server.change(("ControllerRevision", NAMESPACE, name), "mallory", freed)

    acts = (other(25, "forges a snapshot", forge), change(30, "2"))
    sim = played(*acts, until=200)
    assert f"ControllerRevision {name}: the one before it is deleted, kept by" in ready(sim)["message"]
    assert stable(sim) == sim.model()["status"]["history"][-1]["revision"]
    assert sim.reconciles < 150
    later = played(*acts, other(200, "lets it go", free), until=600)
    assert later.model()["status"]["history"][0]["result"] == "Promoted"
    assert later.server.get("ControllerRevision", NAMESPACE, name)["data"]["content"] != "forged"
