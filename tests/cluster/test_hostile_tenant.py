"""A tenant who may write models and runtimes in one namespace, and what comes of trying for more.

The namespace does not enforce Pod Security: what ends here is ended by Modelward. The operator runs with the shipped
rights. The words that are refused are in `hostile_words`; docs/threat-model.md names the test of each attempt.
"""

import json
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.apiserver import GROUP_PATH, ApiServer
from cluster.hostile_text import NO_FIELD, REFUSED, Words
from devcluster import Cluster
from modelward.api.fields import EXACT_INT_MAX
from modelward.api.revision import revision_fields, revision_hash
from modelward.runtimes.restricted import violation
from support.audit import requests
from support.kubectl import Kubectl
from support.models import KIND, children, condition, fake_model, status, wait_quiet, wait_ready, wait_reason
from support.operator import OperatorProcess
from support.rights import As, bound, granted, rule
from support.waiting import until

pytestmark = pytest.mark.usefixtures("operator")

Raw = dict[str, Any]

TENANT = "hostile-tenant"
ESCAPES = "\x1b[2K\x1b[31m\u202e"
FORGED = f"x\n2026-11-22 22:00:00,000 INFO    nothing to see{ESCAPES}"
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
HOST_PATH: Raw = {
    "spec": {
        "hostNetwork": True,
        "hostPID": True,
        "containers": [
            {
                "name": "x",
                "image": "registry.invalid/evil:1",
                "securityContext": {"privileged": True},
                "volumeMounts": [{"name": "root", "mountPath": "/host"}],
            }
        ],
        "volumes": [{"name": "root", "hostPath": {"path": "/"}}],
    }
}
"""A pod that is the node."""


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """The tenant's namespace, which enforces no Pod Security."""
    yield from _namespace(cluster, "hostile")


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster, namespace: str) -> Iterator[Kubectl]:
    """Another namespace, in which the tenant may do anything that `edit` allows, and write ControllerRevisions."""
    for name in _namespace(cluster, f"{namespace}-more"):
        yield Kubectl(cluster, name)


def _namespace(cluster: Cluster, name: str) -> Iterator[str]:
    admin, name = Kubectl(cluster), f"{name}-{secrets.token_hex(2)}"
    admin("create", "namespace", name)
    try:
        yield name
    finally:
        admin("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def tenant(kubectl: Kubectl) -> As:
    """Somebody with the shipped rights to models, by ClusterRoles of their own, and no others."""
    kubectl.apply(*(bound(TENANT, name, "ClusterRole") for name in ("modelward-view", "modelward-edit")))
    somebody = As(kubectl, TENANT)
    until(lambda: not somebody.create(fake_model("probe")), "the tenant may write models")
    return somebody


@pytest.fixture(scope="module")
def server(cluster: Cluster, tenant: As) -> Iterator[ApiServer]:
    """The tenant's connection to the API server."""
    assert tenant
    with ApiServer(cluster.kubeconfig, TENANT) as connection:
        yield connection


def models(namespace: str) -> str:
    """Path of the models of a namespace."""
    return f"{GROUP_PATH}/namespaces/{namespace}/modeldeployments"


# --- refused at admission -----------------------------------------------------------------------------------


@pytest.mark.parametrize("words", NO_FIELD, ids=lambda words: words.about)
def test_there_is_no_field(server: ApiServer, namespace: str, words: Words) -> None:
    """The resource has no word for it; kubectl asks the API server to say so."""
    model = fake_model("evil", **words.spec)
    assert words.said in server.problem_text("POST", models(namespace), model, fieldValidation="Strict")


@pytest.mark.parametrize("words", REFUSED, ids=lambda words: words.about)
def test_words_that_are_refused(server: ApiServer, namespace: str, words: Words) -> None:
    """By a rule of the CRD, which names the field."""
    said = server.problem_text("POST", models(namespace), fake_model("evil", **words.spec))
    (field,) = words.spec
    assert f"spec.{field}" in said
    assert words.said in said


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/api/v1/namespaces/{own}/pods", id="make a pod"),
        pytest.param("GET", "/api/v1/namespaces/{own}/secrets/x", id="read a Secret"),
        pytest.param("GET", "/api/v1/namespaces/{own}/pods/x/log", id="read a log"),
        pytest.param("POST", "/apis/apps/v1/namespaces/{own}/deployments", id="make a Deployment"),
        pytest.param("POST", "/apis/apps/v1/namespaces/{own}/controllerrevisions", id="plant a snapshot"),
        pytest.param("PATCH", "/api/v1/namespaces/{own}/services/x", id="change a model's Service"),
        pytest.param("PATCH", GROUP_PATH + "/namespaces/{own}/modeldeployments/x/status", id="write status"),
        pytest.param("POST", GROUP_PATH + "/clustermodelruntimes", id="make a runtime for all"),
        pytest.param("PATCH", GROUP_PATH + "/namespaces/{other}/modeldeployments/x", id="command elsewhere"),
        pytest.param("GET", GROUP_PATH + "/namespaces/{other}/modeldeployments", id="read models elsewhere"),
        pytest.param("GET", GROUP_PATH + "/modeldeployments", id="read all models"),
    ],
)
def test_what_the_shipped_rights_do_not_have(
    server: ApiServer, namespace: str, elsewhere: Kubectl, method: str, path: str
) -> None:
    """Refused by RBAC: the right to write models is no other right."""
    answer = server.send(method, path.format(own=namespace, other=elsewhere.namespace), {}, dryRun="All")
    assert answer.status_code == 403
    assert f'User "{TENANT}" cannot' in answer.json()["message"]


# --- let in, and inert --------------------------------------------------------------------------------------


def test_what_has_no_field_is_dropped(server: ApiServer, kubectl: Kubectl, namespace: str) -> None:
    """A client that does not ask for strictness gets the same pod as everybody."""
    model = fake_model("dropped")
    for words in NO_FIELD:
        if set(words.spec).isdisjoint({"model", "traffic", "analysis", "runtime"}):
            model["spec"] |= {key: value for key, value in words.spec.items() if key not in model["spec"]}
    model["spec"]["runtime"] |= {"securityContext": {"privileged": True}, "volumeMounts": [], "lifecycle": {}}
    assert server.send("POST", models(namespace), model, fieldValidation="Ignore").status_code == 201
    wait_ready(kubectl, "dropped")
    (deployment,) = children(kubectl, "deployment", "dropped")
    pod = deployment["spec"]["template"]["spec"]
    assert violation(deployment["spec"]["template"]) == ""
    assert [each["name"] for each in pod["containers"]] == ["model-server"]
    assert pod["volumes"] == [{"name": "tmp", "emptyDir": {}}]
    assert pod["automountServiceAccountToken"] is False
    assert "nodeName" not in pod


def test_arguments_and_variables_stay_what_they_are(kubectl: Kubectl) -> None:
    """They are lists and values, and no shell reads them; what looks like a variable in a version is text.

    The strings are those that a reader of YAML takes for something else: the snapshot must say the same again.
    """
    odd = [
        "--flag=$(HOME)",
        "; rm -rf /",
        "`id`",
        "~",
        "1e3",
        "0x1f",
        "yes",
        "null",
        "- a",
        "\u2028",
        "\ud7ff",
    ]
    kubectl.apply(
        fake_model(
            "odd",
            version="--evil=$(MODEL_NAME)",
            runtime={
                "image": "registry.invalid/fake:1",
                "args": odd,
                "env": [{"name": "A", "value": FORGED}],
            },
            resources={
                "requests": {"example.com/thing": EXACT_INT_MAX},
                "limits": {"example.com/thing": EXACT_INT_MAX},
            },
        )
    )
    (snapshot,) = until(lambda: children(kubectl, "controllerrevision", "odd"), "the snapshot is there")
    (deployment,) = until(lambda: children(kubectl, "deployment", "odd"), "the Deployment is there")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each.get("value") for each in container["env"]}
    assert container["args"] == odd
    assert values["A"] == FORGED
    assert values["MODEL_VERSION"] == "--evil=$$(MODEL_NAME)"
    kubectl.patch(KIND, "odd", {"spec": {"replicas": 2}})
    until(
        lambda: children(kubectl, "deployment", "odd")[0]["spec"]["replicas"] == 2, "it is reconciled again"
    )
    (again,) = children(kubectl, "controllerrevision", "odd")
    assert again["metadata"]["uid"] == snapshot["metadata"]["uid"]


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("https://169.254.169.254/latest/meta-data", id="the cloud's metadata"),
        pytest.param("https://127.0.0.1:10250/pods", id="the node's own"),
        pytest.param("https://kubernetes.default.svc/api/v1/secrets", id="a Service of the cluster"),
    ],
)
def test_no_address_of_a_model_is_asked(tenant: As, kubectl: Kubectl, uri: str) -> None:
    """The operator fetches nothing itself; where no image does, it says so. What the fetch container refuses is in tests/fetch."""
    name = f"uri-{len(uri)}"
    assert not tenant(
        "apply", "-f", "-", stdin=json.dumps(fake_model(name, model={"version": "1", "uri": uri}))
    )
    assert "no image that fetches models" in wait_reason(kubectl, name, "FetchNotConfigured")["message"]
    assert children(kubectl, "deployment", name) == []


def labels_of(kubectl: Kubectl, name: str) -> tuple[Raw, list[Raw]]:
    """Labels and owner of what belongs to the stable revision of a model."""
    (deployment,) = children(kubectl, "deployment", name)
    return deployment["metadata"]["labels"], deployment["metadata"]["ownerReferences"]


def planted(kind: str, name: str, kubectl: Kubectl, model: str, **content: Any) -> Raw:
    """An object that says to be the model's, in its labels and by its owner's uid."""
    labels, owners = labels_of(kubectl, model)
    version = "v1" if kind == "Service" else "apps/v1"
    metadata = {"name": name, "labels": labels, "ownerReferences": owners}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def test_an_object_of_another_namespace_belongs_to_no_model(
    cluster: Cluster, kubectl: Kubectl, elsewhere: Kubectl
) -> None:
    """Whoever has read a model's uid may write it elsewhere. Nothing is written there, and the model goes on."""
    kubectl.apply(fake_model("victim", replicas=2))
    stable = wait_ready(kubectl, "victim")["stableRevision"]
    labels, _ = labels_of(kubectl, "victim")
    selector = {key: labels[key] for key in ("modelward.dev/model", "modelward.dev/revision")}
    template = {"metadata": {"labels": selector}, **HOST_PATH}
    names = [f"victim-{stable}", "victim"]
    elsewhere.apply(
        planted(
            "Deployment",
            names[0],
            kubectl,
            "victim",
            spec={"replicas": 0, "selector": {"matchLabels": selector}, "template": template},
        ),
        planted("ControllerRevision", names[0], kubectl, "victim", revision=9, data={"template": HOST_PATH}),
        planted(
            "Service", names[1], kubectl, "victim", spec={"ports": [{"port": 1}], "selector": {"a": "b"}}
        ),
    )
    kubectl.patch(KIND, "victim", {"spec": {"replicas": 3}})
    until(lambda: status(kubectl, "victim").get("readyReplicas") == 3, "the model is reconciled")
    assert status(kubectl, "victim")["stableRevision"] == stable
    assert condition(kubectl, "victim")["status"] == "True"
    there = [
        each
        for each in requests(cluster)
        if each.get("objectRef", {}).get("namespace") == elsewhere.namespace
    ]
    assert [each["requestURI"] for each in there if each["verb"] not in {"get", "list", "watch"}] == []


def test_a_planted_snapshot_makes_no_pod(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """Who may write ControllerRevisions and models, and no pods, writes the next revision's snapshot in advance."""
    kubectl.apply(*granted("planter", "plant", rule("apps", "controllerrevisions", "create", "delete")))
    kubectl.apply(fake_model("target"))
    wait_ready(kubectl, "target")
    wait_quiet(kubectl, "target")
    follows = fake_model("target", version="2")
    fields = revision_fields(follows["spec"])
    name = revision_hash(fields)
    data = {"content": name, "nonce": 0, "spec": fields, "runtime": {"image": "x"}, "template": HOST_PATH}
    forged = planted("ControllerRevision", f"target-{name}", kubectl, "target", revision=2, data=data)
    forged["metadata"]["labels"] = {**forged["metadata"]["labels"], "modelward.dev/revision": name}
    somebody = As(kubectl, "planter")
    assert not somebody("create", "-f", "-", stdin=json.dumps(forged))
    kubectl.apply(follows)
    until(lambda: status(kubectl, "target").get("stableRevision") == name, "the next revision serves")
    deployment = kubectl.get("deployment", f"target-{name}")
    assert deployment is not None
    assert violation(deployment["spec"]["template"]) == ""
    stored = kubectl.get("controllerrevision", f"target-{name}")
    assert stored is not None
    assert stored["data"]["template"]["spec"]["containers"][0]["image"] == "registry.invalid/fake:1"
    assert (
        "is not what this operator writes (its pods would not be restricted: hostNetwork)" in operator.text()
    )


def test_f27_a_snapshot_without_words_makes_no_pod(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A restricted pod with a foreign service account, its token and a Secret, under the next revision's name."""
    kubectl.apply(fake_model("silent"))
    wait_ready(kubectl, "silent")
    wait_quiet(kubectl, "silent")
    follows = fake_model("silent", version="2")
    name = revision_hash(revision_fields(follows["spec"]))
    (stored,) = kubectl.all("controllerrevision", "modelward.dev/model=silent")
    template = stored["data"]["template"]
    given = {
        "serviceAccountName": "admin",
        "automountServiceAccountToken": True,
        "volumes": [*template["spec"]["volumes"], {"name": "keys", "secret": {"secretName": "keys"}}],
    }
    pods = {**template, "spec": {**template["spec"], **given}}
    data = {"content": name, "nonce": 0, "spec": {}, "runtime": {}, "template": pods}
    forged = planted("ControllerRevision", f"silent-{name}", kubectl, "silent", revision=2, data=data)
    forged["metadata"]["labels"] = {**forged["metadata"]["labels"], "modelward.dev/revision": name}
    kubectl.apply(forged)
    kubectl.apply(follows)
    until(lambda: status(kubectl, "silent").get("stableRevision") == name, "the next revision serves")
    deployment = kubectl.get("deployment", f"silent-{name}")
    assert deployment is not None
    pod = deployment["spec"]["template"]["spec"]
    assert "serviceAccountName" not in pod
    assert pod["automountServiceAccountToken"] is False
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert "is not what this operator writes (it does not say what it was made from)" in operator.text()


def test_a_snapshot_that_is_changed_for_another_makes_no_pod(
    kubectl: Kubectl, operator: OperatorProcess
) -> None:
    """The same for a revision that serves: its Deployment stays as it is, and its snapshot is made anew."""
    kubectl.apply(fake_model("swapped"))
    stable = wait_ready(kubectl, "swapped")["stableRevision"]
    wait_quiet(kubectl, "swapped")
    name = f"swapped-{stable}"
    before = kubectl.get("deployment", name)
    snapshot = kubectl.get("controllerrevision", name)
    assert before is not None
    assert snapshot is not None
    data = {**snapshot["data"], "template": HOST_PATH}
    forged = planted("ControllerRevision", name, kubectl, "swapped", revision=snapshot["revision"], data=data)

    operator.kill()  # it would be quicker than kubectl
    kubectl("replace", "--force", "-f", "-", stdin=json.dumps(forged))
    operator.start()

    def is_valid() -> bool:
        found = kubectl.get("controllerrevision", name)
        return bool(found and violation(found["data"]["template"]) == "")

    until(is_valid, "the snapshot is made anew, from the Deployment")
    wait_ready(kubectl, "swapped")
    after = kubectl.get("deployment", name)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]


def test_a_planted_deployment_is_what_it_should_be(kubectl: Kubectl) -> None:
    """One with the next revision's name and our owner reference is no exception from the template."""
    kubectl.apply(fake_model("prepared"))
    wait_ready(kubectl, "prepared")
    wait_quiet(kubectl, "prepared")
    follows = fake_model("prepared", version="2")
    name = revision_hash(revision_fields(follows["spec"]))
    selector = {"modelward.dev/model": "prepared", "modelward.dev/revision": name}
    template = {"metadata": {"labels": selector}, **HOST_PATH}
    spec = {"replicas": 0, "paused": True, "selector": {"matchLabels": selector}, "template": template}
    forged = planted("Deployment", f"prepared-{name}", kubectl, "prepared", spec=spec)
    forged["metadata"]["labels"] = {**forged["metadata"]["labels"], "modelward.dev/revision": name}
    kubectl.apply(forged, follows)
    until(
        lambda: (
            status(kubectl, "prepared").get("canaryRevision") != "" and _template(kubectl, f"prepared-{name}")
        ),
        "it is there",
    )
    until(lambda: violation(_template(kubectl, f"prepared-{name}")) == "", "its pods are restricted")


def _template(kubectl: Kubectl, name: str) -> Raw:
    found = kubectl.get("deployment", name) or {}
    template: Raw = found.get("spec", {}).get("template", {})
    return template


def test_a_forged_status_starts_nothing(kubectl: Kubectl) -> None:
    """Whoever may write status names revisions that are none, and of ten million pods."""
    kubectl.apply(fake_model("status"))
    stable = wait_ready(kubectl, "status")["stableRevision"]
    wait_quiet(kubectl, "status")
    (before,) = children(kubectl, "deployment", "status")
    forged = {
        "stableRevision": "zzzzzzzzzz",
        "canaryRevision": "yyyyyyyyyy",
        "rollout": {"state": "Promoting", "weightPercent": 100},
        "scaling": {"ignoredReplicas": 1, "heldReplicas": 2**31 - 1},
        "history": [{"revision": "zzzzzzzzzz", "result": "Promoted", "message": FORGED}],
    }
    kubectl(
        "patch", KIND, "status", "--subresource=status", "--type=merge", "-p", json.dumps({"status": forged})
    )
    until(lambda: status(kubectl, "status").get("stableRevision") == stable, "the truth is back")
    wait_ready(kubectl, "status")
    (after,) = children(kubectl, "deployment", "status")
    assert after["spec"]["replicas"] == 1
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["template"] == before["spec"]["template"]


# --- words that are shown -----------------------------------------------------------------------------------


def test_what_is_shown_is_printable(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A string with escape sequences, a line break and a mark of direction, in all that ends in a message."""
    kubectl.apply(fake_model("shown", version="1\u202e\u2066\x9b"))
    wait_ready(kubectl, "shown")
    wait_quiet(kubectl, "shown")
    commands = ("abort", "promote", "approve", "retry", "rollback")
    kubectl.patch(
        KIND, "shown", {"metadata": {"annotations": {f"modelward.dev/{each}": FORGED for each in commands}}}
    )
    acknowledged = lambda: status(kubectl, "shown").get("commands", {}).get("rollback") == FORGED  # noqa: E731
    until(acknowledged, "the commands are acknowledged")
    _suffer(kubectl, "shown")
    until(lambda: "nothing to see" in condition(kubectl, "shown")["message"], "what the pod says is reported")
    found = status(kubectl, "shown")
    del found["commands"]  # the value itself, to be compared with
    assert _unprintable(found) == []
    events = [each for each in kubectl.all("events.events.k8s.io") if each["regarding"]["name"] == "shown"]
    assert any("nothing to see" in each["note"] for each in events)
    assert _unprintable([each["note"] for each in events]) == []


def _suffer(kubectl: Kubectl, name: str) -> None:
    """Have the pod of a model say that it waits, and why; its kubelet is kwok's, which does not mind."""
    (pod,) = children(kubectl, "pod", name)
    waiting = {"waiting": {"reason": "CreateContainerError", "message": FORGED}}
    container = {"name": "model-server", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    conditions = [{"type": kind, "status": "False"} for kind in ("Ready", "ContainersReady")]
    change = {"status": {"conditions": conditions, "containerStatuses": [{**container, "state": waiting}]}}
    kubectl(
        "patch",
        "pod",
        pod["metadata"]["name"],
        "--subresource=status",
        "--type=strategic",
        "-p",
        json.dumps(change),
    )


def _unprintable(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [found for each in value.values() for found in _unprintable(each)]
    if isinstance(value, list):
        return [found for each in value for found in _unprintable(each)]
    return [value] if isinstance(value, str) and not value.isprintable() else []


def test_no_line_of_the_log_is_forged(operator: OperatorProcess) -> None:
    """All that was logged up to here: records in one line each, and tracebacks that are indented."""
    lines = operator.text().splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if not RECORD.match(line) and not line.startswith("    ")] == []
    assert not any(line.partition("INFO")[2].strip().startswith("nothing to see") for line in lines)
    assert "unexpected error" not in operator.text()


# --- roles --------------------------------------------------------------------------------------------------

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
READ = ("get", "list", "watch")
CHANGE = ("create", "update", "patch", "delete")


@pytest.fixture(scope="module")
def administrator(cluster: Cluster, kubectl: Kubectl) -> Iterator[ApiServer]:
    """The administrator's connection; somebody has each of the usual roles."""
    kubectl.apply(
        *(bound(f"somebody-with-{role}", role, "ClusterRole") for role in ("view", "edit", "admin"))
    )
    with ApiServer(cluster.kubeconfig) as connection:
        yield connection


@pytest.mark.parametrize(
    ("role", "resource", "verbs", "allowed"),
    [
        pytest.param("view", "modeldeployments", READ, True, id="view reads models"),
        pytest.param("view", "modelruntimes", READ, True, id="view reads runtimes"),
        pytest.param("view", "modeldeployments", CHANGE, False, id="view changes no model"),
        pytest.param("view", "modelruntimes", CHANGE, False, id="view changes no runtime"),
        pytest.param("view", "modeldeployments/scale", CHANGE, False, id="view scales nothing"),
        pytest.param("edit", "modeldeployments", READ + CHANGE, True, id="edit reads and changes models"),
        pytest.param("edit", "modelruntimes", READ + CHANGE, True, id="edit reads and changes runtimes"),
        pytest.param("edit", "modeldeployments/scale", ("update", "patch"), True, id="edit scales"),
        pytest.param("admin", "modeldeployments", READ + CHANGE, True, id="admin reads and changes models"),
        *(
            pytest.param(role, f"modeldeployments/{part}", CHANGE, False, id=f"{role} writes no {part}")
            for role in ("view", "edit", "admin")
            for part in ("status", "finalizers")
        ),
        *(
            pytest.param(role, "clustermodelruntimes", CHANGE, False, id=f"{role} writes no runtimes for all")
            for role in ("view", "edit", "admin")
        ),
    ],
)
def test_aggregated_roles(
    kubectl: Kubectl,
    administrator: ApiServer,
    role: str,
    resource: str,
    verbs: tuple[str, ...],
    allowed: bool,  # noqa: FBT001 - a parametrized case
) -> None:
    """People get the rights with the roles that they have; status is nobody's but the operator's."""
    name, _, part = resource.partition("/")
    place = {"namespace": kubectl.namespace, "group": "modelward.dev", "resource": name, "subresource": part}

    def may(verb: str) -> bool:
        review = {"user": f"somebody-with-{role}", "resourceAttributes": {**place, "verb": verb}}
        answer = administrator.send("POST", REVIEWS, {"spec": review}).json()
        return bool(answer["status"]["allowed"])

    until(lambda: {may(verb) for verb in verbs} == {allowed}, f"{role}: {resource}", seconds=30)
