"""What others do to our objects is corrected; what belongs to others is left alone. Pods are kwok's."""

import json
from typing import Any

import pytest

from devcluster import Cluster
from modelward.projection.service import OF_CLUSTER, OF_USERS, STEERING
from support.audit import requests
from support.kubectl import Kubectl
from support.models import (
    KIND,
    children,
    condition,
    fake_model,
    selected_revision,
    status,
    unschedulable_model,
    wait_quiet,
    wait_ready,
    wait_reason,
)
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")


def foreign_service(name: str) -> dict[str, Any]:
    """A Service that somebody else made."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"team": "other"}},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 80}]},
    }


def content(obj: dict[str, Any] | None) -> dict[str, Any]:
    """An object without what the cluster itself keeps of it."""
    assert obj is not None
    return {"spec": obj["spec"], "labels": obj["metadata"]["labels"], "uid": obj["metadata"]["uid"]}


def test_foreign_service_is_left_alone_and_reported(kubectl: Kubectl) -> None:
    """A Service with our name stays as it is; the condition names it; when it goes, the model is served."""
    kubectl.apply(foreign_service("taken"))
    before = content(kubectl.get("service", "taken"))
    kubectl.apply(fake_model("taken"))
    ready = wait_reason(kubectl, "taken", "NameConflict")
    assert "Service" in ready["message"]
    assert "left alone" in ready["message"]
    assert condition(kubectl, "taken", "Stalled")["status"] == "True"
    assert content(kubectl.get("service", "taken")) == before
    kubectl("delete", "service", "taken")
    wait_ready(kubectl, "taken")
    assert condition(kubectl, "taken", "Stalled") == {}


def test_foreign_deployment_is_left_alone_and_reported(kubectl: Kubectl) -> None:
    """A Deployment with the name of our next revision stays as it is, and the old revision goes on serving."""
    kubectl.apply(fake_model("dep"))
    first = wait_ready(kubectl, "dep")["stableRevision"]
    kubectl.apply(fake_model("dep", version="2"))
    second = wait_ready(kubectl, "dep")["stableRevision"]
    kubectl.apply(fake_model("dep"))
    wait_ready(kubectl, "dep")
    wait_quiet(kubectl, "dep")
    name = f"dep-{second}"
    kubectl("create", "deployment", name, "--image=registry.invalid/other:1", "--replicas=0")
    before = content(kubectl.get("deployment", name))
    kubectl.apply(fake_model("dep", version="2"))
    assert name in wait_reason(kubectl, "dep", "NameConflict")["message"]
    assert condition(kubectl, "dep", "Available")["status"] == "True"
    assert selected_revision(kubectl, "dep") == first
    assert content(kubectl.get("deployment", name)) == before
    kubectl("delete", "deployment", name)
    assert wait_ready(kubectl, "dep")["stableRevision"] == second


def test_labelled_foreign_object_is_no_exception(kubectl: Kubectl) -> None:
    """An object that wears our labels without belonging to the model is foreign all the same."""
    service = foreign_service("masked")
    service["metadata"]["labels"] = {
        "app.kubernetes.io/managed-by": "modelward",
        "modelward.dev/model": "masked",
    }
    kubectl.apply(service)
    before = content(kubectl.get("service", "masked"))
    kubectl.apply(fake_model("masked"))
    wait_reason(kubectl, "masked", "NameConflict")
    assert content(kubectl.get("service", "masked")) == before


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param(
            "deployment",
            {"spec": {"template": {"spec": {"nodeSelector": {"evil": "yes"}}}}},
            id="something is added to the pod template",
        ),
        pytest.param(
            "deployment",
            [
                {
                    "op": "add",
                    "path": "/spec/template/spec/containers/0/env/-",
                    "value": {"name": "EVIL", "value": "yes"},
                }
            ],
            id="a variable is added to the pod template",
        ),
        pytest.param("service", {"spec": {"selector": {"app": "evil"}}}, id="the selector is narrowed"),
        pytest.param(
            "service",
            [{"op": "add", "path": "/spec/ports/-", "value": {"name": "evil", "port": 99}}],
            id="a port is added",
        ),
        pytest.param(
            "deployment",
            {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
            id="the label by which it is watched is removed",
        ),
        pytest.param(
            "service",
            {"metadata": {"annotations": {"modelward.dev/intent": "0"}}},
            id="our annotation is changed",
        ),
        pytest.param("pdb", {"spec": {"maxUnavailable": "100%"}}, id="the disruption budget is widened"),
        pytest.param(
            "pdb",
            {"spec": {"maxUnavailable": None, "minAvailable": 1}},
            id="F23: the budget is turned around",
        ),
        pytest.param(
            "service",
            {
                "spec": {
                    "sessionAffinity": "ClientIP",
                    "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                }
            },
            id="F23: clients stick to a pod",
        ),
        pytest.param(
            "service",
            {"spec": {"publishNotReadyAddresses": True}},
            id="F23: pods that are not ready get requests",
        ),
        pytest.param(
            "service",
            {"spec": {"internalTrafficPolicy": "Local"}},
            id="F23: nodes keep requests to themselves",
        ),
        pytest.param(
            "service",
            {"spec": {"trafficDistribution": "PreferSameZone"}},
            id="F23: zones keep requests to themselves",
        ),
    ],
)
def test_edits_are_corrected(kubectl: Kubectl, kind: str, change: Any) -> None:
    """What somebody changes in an object of ours is changed back."""
    kubectl.apply(fake_model("edited", replicas=2))
    wait_ready(kubectl, "edited")
    wait_quiet(kubectl, "edited")
    (child,) = children(kubectl, kind, "edited")
    name = child["metadata"]["name"]
    before = content(kubectl.get(kind, name))
    kubectl.patch(kind, name, change)
    until(lambda: content(kubectl.get(kind, name)) == before, f"{kind} is what it was")
    wait_ready(kubectl, "edited")


def events(kubectl: Kubectl, model: str, reason: str) -> list[str]:
    """Notes of the Events about a model, of one reason."""
    found = json.loads(kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    return [each["note"] for each in found if (each["regarding"]["name"], each["reason"]) == (model, reason)]


@pytest.mark.parametrize(
    ("typed", "remedy"),
    [
        pytest.param(
            ["rollout", "restart"],
            "kubectl annotate mwd {model} -n {namespace} --overwrite modelward.dev/restart=",
            id="restart",
        ),
        pytest.param(
            ["set", "image", "*=registry.invalid/other:1"],
            "kubectl edit mwd {model} -n {namespace}",
            id="image",
        ),
        pytest.param(
            ["scale", "--replicas=3"],
            "kubectl scale mwd {model} -n {namespace} --replicas=3",
            id="scale",
        ),
    ],
)
def test_f18_whoever_types_it_at_a_child_is_shown_the_right_command(
    kubectl: Kubectl, typed: list[str], remedy: str
) -> None:
    """By one Event, once it is undone."""
    model = f"typed-{typed[0]}"
    kubectl.apply(fake_model(model))
    revision = wait_ready(kubectl, model)["stableRevision"]
    wait_quiet(kubectl, model)
    name = f"{model}-{revision}"
    before = content(kubectl.get("deployment", name))
    verb = typed[: 1 if typed[0] == "scale" else 2]
    kubectl(*verb, f"deployment/{name}", *typed[len(verb) :])
    (note,) = until(lambda: events(kubectl, model, "DriftCorrected"), "an Event reports the edit")
    assert remedy.format(model=model, namespace=kubectl.namespace) in note
    until(lambda: content(kubectl.get("deployment", name)) == before, "it is as it was")


@pytest.mark.parametrize("form", [1, "50%"], ids=["a number", "a share"])
def test_f18_a_budget_that_is_turned_around_is_corrected_once_and_reported_as_an_edit(
    kubectl: Kubectl, operator: OperatorProcess, form: int | str
) -> None:
    """`minAvailable` and our `maxUnavailable` exclude each other: no refusal of the model, and no fight, for one edit."""
    name = f"turned-{type(form).__name__}"
    kubectl.apply(fake_model(name, replicas=2))
    wait_ready(kubectl, name)
    wait_quiet(kubectl, name)
    before = content(kubectl.get("pdb", name))
    watched: set[str] = set()
    kubectl.patch("pdb", name, {"spec": {"maxUnavailable": None, "minAvailable": form}})

    def corrected() -> bool:
        watched.add(str(condition(kubectl, name)["reason"]))
        return bool(events(kubectl, name, "DriftCorrected"))

    until(corrected, "an Event reports the edit")
    assert content(kubectl.get("pdb", name)) == before
    (note,) = events(kubectl, name, "DriftCorrected")
    assert note.startswith(f"PodDisruptionBudget {name} was changed by kubectl")
    assert f"kubectl edit mwd {name}" in note
    assert watched == {"Available"}
    assert events(kubectl, name, "Refused") == []
    assert f"/{name} is changed again and again" not in operator.text()


@pytest.mark.parametrize("kind", ["deployment", "service", "pdb", "controllerrevision"])
def test_deleted_children_come_back(kubectl: Kubectl, kind: str) -> None:
    """A deleted child is made again, as it was."""
    kubectl.apply(fake_model("deleted", replicas=2))
    revision = wait_ready(kubectl, "deleted")["stableRevision"]
    wait_quiet(kubectl, "deleted")
    (child,) = children(kubectl, kind, "deleted")
    kubectl("delete", kind, child["metadata"]["name"])
    again = until(lambda: children(kubectl, kind, "deleted"), f"{kind} is back")
    assert again[0]["metadata"]["uid"] != child["metadata"]["uid"]
    assert again[0].get("spec", {}).get("template") == child.get("spec", {}).get("template")
    assert wait_ready(kubectl, "deleted")["stableRevision"] == revision


def test_f22_what_is_kept_by_a_finalizer_is_waited_for(
    cluster: Cluster, kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """A superseded canary whose Deployment stays: reported, neither deleted again nor made anew, and waited for when wanted."""
    kubectl.apply(fake_model("kept"))
    first = wait_ready(kubectl, "kept")["stableRevision"]
    kubectl.apply(unschedulable_model("kept", version="2"))
    canary = until(lambda: status(kubectl, "kept").get("canaryRevision"), "there is a canary")
    name = f"kept-{canary}"
    until(lambda: kubectl.get("deployment", name), "it has a Deployment")
    kubectl.patch("deployment", name, {"metadata": {"finalizers": ["example.com/hold"]}})
    kubectl.apply(fake_model("kept"))
    reported = f"Deployment {name} is deleted, kept by the finalizers example.com/hold."
    until(lambda: reported in condition(kubectl, "kept")["message"], "it is reported")
    operator.kill()
    operator.start()
    kubectl.apply(unschedulable_model("kept", version="2"))
    waits = "its Deployment is deleted, kept by the finalizers example.com/hold, and is made anew"
    until(lambda: waits in condition(kubectl, "kept")["message"], "it is waited for")
    uid = _uid(kubectl, name)
    kubectl.patch("deployment", name, {"metadata": {"finalizers": None}})
    until(lambda: _uid(kubectl, name) not in ("", uid), "it is made anew")
    assert selected_revision(kubectl, "kept") == first
    writes = [
        event["verb"]
        for event in requests(cluster)
        if event["stage"] == "ResponseComplete"
        and event.get("objectRef", {}).get("namespace") == kubectl.namespace
        and event["objectRef"]["resource"] == "deployments"
        and (event["objectRef"].get("name") == name or name in event["requestURI"])
    ]
    assert writes.count("delete") == 1


def _uid(kubectl: Kubectl, name: str) -> str:
    found = kubectl.get("deployment", name)
    return found["metadata"]["uid"] if found else ""


def test_edits_while_the_operator_is_down_are_corrected(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """An edit that no watch saw is found after a restart by the field manager it leaves behind."""
    kubectl.apply(fake_model("asleep"))
    wait_ready(kubectl, "asleep")
    wait_quiet(kubectl, "asleep")
    before = content(kubectl.get("service", "asleep"))
    operator.kill()
    kubectl.patch("service", "asleep", {"spec": {"selector": {"app": "evil"}}})
    operator.start()
    until(lambda: content(kubectl.get("service", "asleep")) == before, "the selector is what it was")


def service_of(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Its spec, as it is now."""
    found = kubectl.get("service", name)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


@pytest.mark.parametrize(
    "reached",
    [
        pytest.param({"type": "NodePort"}, id="a node port"),
        pytest.param(
            {
                "type": "LoadBalancer",
                "loadBalancerClass": "example.com/none",
                "loadBalancerSourceRanges": ["192.0.2.0/24"],
                "allocateLoadBalancerNodePorts": False,
            },
            id="a load balancer",
        ),
    ],
)
def test_f23_how_a_service_is_reached_is_the_users(
    kubectl: Kubectl, operator: OperatorProcess, request: pytest.FixtureRequest, reached: dict[str, Any]
) -> None:
    """It stays through edits of what is ours, a rollout, and a restart; nothing is written for it."""
    name = f"reached-{len(request.node.callspec.id)}"
    kubectl.apply(fake_model(name))
    first = wait_ready(kubectl, name)["stableRevision"]
    wait_quiet(kubectl, name)
    kubectl.patch("service", name, {"spec": reached})
    port = service_of(kubectl, name)["ports"][0].get("nodePort")
    kubectl.patch("service", name, {"spec": {"externalTrafficPolicy": "Local"}})
    until(lambda: service_of(kubectl, name)["externalTrafficPolicy"] == "Cluster", "nodes share requests")
    kubectl.apply(fake_model(name, version="2"))
    until(lambda: selected_revision(kubectl, name) != first, "the Service has followed")
    wait_quiet(kubectl, name)
    version = kubectl.get("service", name)["metadata"]["resourceVersion"]  # type: ignore[index]
    operator.kill()
    operator.start()
    wait_quiet(kubectl, name)
    after = kubectl.get("service", name)
    assert after is not None
    assert after["metadata"]["resourceVersion"] == version
    assert reached.items() <= after["spec"].items()
    assert after["spec"]["ports"][0].get("nodePort") == port


def test_f23_a_service_that_leads_elsewhere_is_corrected(kubectl: Kubectl) -> None:
    """ExternalName sends clients to another host: the Service gets an address and our pods again."""
    kubectl.apply(fake_model("elsewhere"))
    wait_ready(kubectl, "elsewhere")
    wait_quiet(kubectl, "elsewhere")
    change = {"type": "ExternalName", "externalName": "elsewhere.example.com"}
    kubectl.patch("service", "elsewhere", {"spec": change})
    until(lambda: service_of(kubectl, "elsewhere").get("clusterIP"), "the Service has an address again")
    assert service_of(kubectl, "elsewhere")["type"] == "ClusterIP"
    assert "externalName" not in service_of(kubectl, "elsewhere")


def test_f23_every_field_of_a_service_is_decided_about(kubectl: Kubectl) -> None:
    """A Kubernetes that brings a new one fails this: is it ours, the user's or the cluster's? docs/traffic.md says."""
    schema = json.loads(kubectl("get", "--raw", "/openapi/v3/api/v1"))["components"]["schemas"]
    fields = set(schema["io.k8s.api.core.v1.ServiceSpec"]["properties"])
    assert fields == {"selector", "ports", *STEERING, *OF_USERS, *OF_CLUSTER}


def test_a_fight_is_not_fought_for_ever(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """An object that somebody changes again and again is corrected a few times a minute, and the log says so."""
    kubectl.apply(fake_model("fight"))
    wait_ready(kubectl, "fight")
    wait_quiet(kubectl, "fight")
    before = content(kubectl.get("service", "fight"))
    warned = "is changed again and again by kubectl"
    for number in range(20):
        kubectl.patch("service", "fight", {"spec": {"selector": {"app": f"evil-{number}"}}})
        until(
            lambda: warned in operator.text() or content(kubectl.get("service", "fight")) == before,
            "the Service is corrected, or the fight is given up",
        )
        if warned in operator.text():
            return
    pytest.fail("twenty repairs in a row")


def test_foreign_labels_and_annotations_stay(kubectl: Kubectl) -> None:
    """What others put beside ours (a tracking label, a note) is theirs to keep."""
    kubectl.apply(fake_model("beside"))
    wait_ready(kubectl, "beside")
    kubectl("label", "service", "beside", "team=payments")
    kubectl("annotate", "service", "beside", "note=hands-off")
    kubectl.apply(fake_model("beside", version="2"))
    wait_ready(kubectl, "beside")
    wait_quiet(kubectl, "beside")
    service = kubectl.get("service", "beside")
    assert service is not None
    assert service["metadata"]["labels"]["team"] == "payments"
    assert service["metadata"]["annotations"]["note"] == "hands-off"


def test_what_claims_to_be_a_child_and_is_none_goes(kubectl: Kubectl) -> None:
    """An object that belongs to the model by owner reference, and that it should not have, is deleted."""
    kubectl.apply(fake_model("surplus"))
    wait_ready(kubectl, "surplus")
    (service,) = children(kubectl, "service", "surplus")
    extra = foreign_service("surplus-more")
    extra["metadata"]["labels"] = service["metadata"]["labels"]
    extra["metadata"]["ownerReferences"] = service["metadata"]["ownerReferences"]
    kubectl.apply(extra)
    until(lambda: kubectl.get("service", "surplus-more") is None, "the surplus Service is gone")
    assert kubectl.get("service", "surplus") is not None


def test_one_broken_model_does_not_delay_others(kubectl: Kubectl) -> None:
    """A model that can never be served leaves the others alone."""
    kubectl.apply(foreign_service("poison"))
    kubectl.apply(fake_model("poison"))
    wait_reason(kubectl, "poison", "NameConflict")
    kubectl.apply(fake_model("healthy"))
    wait_ready(kubectl, "healthy")
    assert kubectl.get(KIND, "poison") is not None
