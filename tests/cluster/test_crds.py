"""The CRDs on a real API server: what a user is shown, sees and may do."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from cluster.apiserver import GROUP_PATH, ApiServer
from cluster.crd_bounds import BoundCase, bound_cases
from cluster.crd_rules import MODEL, RULE_CASES, RuleCase
from devcluster import Cluster
from modelward.api.crd.definitions import crd_manifests
from modelward.api.model_deployment import ModelDeploymentSpec
from support.kubectl import Kubectl, KubectlError
from unit.api.schema_walk import all_nodes
from unit.api.strategies import objects

BOUND_CASES = bound_cases()


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[ApiServer]:
    """A connection of our own, for many small requests."""
    with ApiServer(cluster.kubeconfig) as connection:
        yield connection


@pytest.fixture(scope="module")
def model(kubectl: Kubectl) -> Iterator[str]:
    """The name of a ModelDeployment that exists."""
    kubectl.apply(deployment("fraud"))
    yield "fraud"
    kubectl("delete", "modeldeployment", "fraud", "--ignore-not-found")


def manifest(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    """Return an object of our group."""
    return {"apiVersion": "modelward.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, **parts}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    """Return a small ModelDeployment."""
    return manifest("ModelDeployment", name, spec={"model": MODEL, **spec})


def set_status(kubectl: Kubectl, name: str, **status: Any) -> None:
    """Write status as the operator does: through its subresource."""
    patch = json.dumps({"status": status})
    kubectl("patch", "modeldeployment", name, "--subresource=status", "--type=merge", "-p", patch)


# --- rules ----------------------------------------------------------------------------------------------------


def tried(server: ApiServer, namespace: str, kind: str, spec: dict[str, Any]) -> str:
    """Return what the API server says against creating an object; "" if it would take it."""
    path = f"{GROUP_PATH}/namespaces/{namespace}/{kind.lower()}s"
    return server.problem_text("POST", path, manifest(kind, "case", spec=spec))


@pytest.mark.parametrize("case", [pytest.param(case, id=case.sentence) for case in RULE_CASES])
def test_rule(server: ApiServer, namespace: str, case: RuleCase) -> None:
    """The API server takes the good object, and says which field of the bad one must be how."""
    assert tried(server, namespace, case.kind, case.accepted) == ""
    problem_text = tried(server, namespace, case.kind, case.refused)
    field = f"spec.{case.field}" if case.field else "spec"
    lines = [
        part
        for part in problem_text.removeprefix(HEAD[case.kind]).split(f"{field}: ")
        if case.message in part
    ]
    assert lines, problem_text


HEAD = {kind: f'{kind}.modelward.dev "case" is invalid: ' for kind in ("ModelDeployment", "ModelRuntime")}


def test_every_rule_has_a_case() -> None:
    """A new rule comes with one accepted and one refused object."""
    rules = {
        rule["message"] for node in all_nodes() for rule in node.schema.get("x-kubernetes-validations", ())
    }
    untried = {rule for rule in rules if not any(case.message in rule for case in RULE_CASES)}
    assert untried == set()


# --- bounds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.sentence) for case in BOUND_CASES if ".spec" in case.path]
)
def test_bound_of_spec(server: ApiServer, namespace: str, case: BoundCase) -> None:
    """A value at the bound is not refused for it; one beyond is, with the field and the bound."""
    kind = case.path.partition(".")[0]
    assert case.message in tried(server, namespace, kind, case.beyond["spec"])
    if case.within is not None:
        assert case.message not in tried(server, namespace, kind, case.within["spec"])


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.sentence) for case in BOUND_CASES if ".status" in case.path]
)
def test_bound_of_status(server: ApiServer, namespace: str, model: str, case: BoundCase) -> None:
    """The operator's own writes are held to the bounds, too; at the bound they are taken as a whole."""
    path = f"{GROUP_PATH}/namespaces/{namespace}/modeldeployments/{model}/status"
    assert case.message in server.problem_text("PATCH", path, case.beyond)
    if case.within is not None:
        assert server.problem_text("PATCH", path, case.within) == ""


# --- what users see -------------------------------------------------------------------------------------------


def test_apply_lists_all_mistakes_at_once(kubectl: Kubectl) -> None:
    """A user repairs the object in one go."""
    bad = deployment(
        "bad",
        model={"format": "onnx", "uri": "ftp://models/fraud"},
        rollout={"steps": [{"weightPercent": 25}, {"weightPercent": 5}]},
        runtime={"env": [{"name": "MODEL_URI", "value": "x"}]},
    )
    with pytest.raises(KubectlError) as caught:
        kubectl("apply", "-f", "-", stdin=json.dumps(bad))
    _, head, lines = str(caught.value).partition('The ModelDeployment "bad" is invalid: ')
    assert head
    assert sorted(lines.strip().splitlines()) == [
        (
            '* spec.model.uri: Invalid value: "ftp://models/fraud": must begin with one of s3://, gs://, az://,'
            " https://, hf://, pvc://, oci://, mlflow://"
        ),
        (
            "* spec.rollout.steps: Invalid value: must rise from step to step in weightPercent (the step to 100"
            " follows by itself)"
        ),
        (
            "* spec.runtime.env[0].name: Forbidden: must not be one of the variables that the operator sets:"
            " MODEL_NAME, MODEL_PATH, MODEL_REVISION, MODEL_URI, MODEL_VERSION"
        ),
    ]


def test_a_misspelt_field_is_refused(kubectl: Kubectl) -> None:
    """kubectl asks for strict validation; the schema is closed."""
    with pytest.raises(KubectlError, match=r'unknown field "spec\.model\.url"'):
        kubectl.apply(deployment("bad", model={"format": "onnx", "url": "s3://a/b"}))


@pytest.mark.parametrize(
    "server_side", [pytest.param(False, id="client-side"), pytest.param(True, id="server-side")]
)
def test_null_counts_as_absent(kubectl: Kubectl, server_side: bool) -> None:  # noqa: FBT001 - a parametrized case
    """Templates render what is not set as null."""
    nothing = {
        "model": MODEL | {"name": None, "secretRef": None},
        "runtime": None,
        "resources": {"requests": None},
        "podLabels": None,
        "replicas": None,
        "autoscaling": {"minReplicas": None, "maxReplicas": 2},
        "rollout": {"stepMinSeconds": None, "steps": None},
    }
    kubectl(
        "apply",
        "--dry-run=server",
        f"--server-side={json.dumps(server_side)}",
        "-f",
        "-",
        stdin=json.dumps(deployment("n", **nothing)),
    )


def test_a_null_for_nothing_is_still_nothing(server: ApiServer, namespace: str) -> None:
    """A rule that needs a field does not take null for it."""
    problem_text = tried(server, namespace, "ModelDeployment", {"model": {"format": None}})
    assert "must say what serves the model" in problem_text


def test_replicas_have_a_default(kubectl: Kubectl, model: str) -> None:
    """It is the only one in the stored object; the others are in code."""
    spec = json.loads(kubectl("get", "modeldeployment", model, "-o", "json"))["spec"]
    assert spec == {"model": MODEL, "replicas": 1}


def test_scale(kubectl: Kubectl, model: str) -> None:
    """`kubectl scale` and autoscalers of others work on spec.replicas, status.replicas and status.selector."""
    set_status(kubectl, model, replicas=2, selector="modelward.dev/model=fraud")
    kubectl("scale", f"modeldeployment/{model}", "--replicas=3")
    path = json.loads(kubectl("get", "modeldeployment", model, "--subresource=scale", "-o", "json"))
    assert path["kind"] == "Scale"
    assert path["spec"] == {"replicas": 3}
    assert path["status"] == {"replicas": 2, "selector": "modelward.dev/model=fraud"}
    kubectl("scale", f"modeldeployment/{model}", "--replicas=1")


def test_status_does_not_change_the_generation(kubectl: Kubectl, model: str) -> None:
    """Only a change of spec does, and status is not written with spec."""
    before = json.loads(kubectl("get", "modeldeployment", model, "-o", "json"))
    set_status(kubectl, model, decision=7)
    kubectl("patch", "modeldeployment", model, "--type=merge", "-p", json.dumps({"status": {"decision": 9}}))
    after = json.loads(kubectl("get", "modeldeployment", model, "-o", "json"))
    assert after["status"]["decision"] == 7
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


def test_selectable_fields(kubectl: Kubectl, model: str) -> None:
    """Lists can be narrowed at the server, by format and by stable revision."""
    set_status(kubectl, model, stableRevision="bcdfghjklm")
    kubectl.apply(deployment("other", model=MODEL | {"format": "sklearn"}))
    for selector in ("spec.model.format=onnx", "status.stableRevision=bcdfghjklm"):
        found = kubectl("get", "mwd", f"--field-selector={selector}", "-o", "name")
        assert found.split() == [f"modeldeployment.modelward.dev/{model}"]
    kubectl("delete", "mwd", "other")


NOW = "2026-11-22T10:00:00Z"
CONDITIONS = [
    {
        "type": kind,
        "status": status,
        "reason": "CanaryStep",
        "message": "Step 5%: no sign of harm.",
        "lastTransitionTime": NOW,
    }
    for kind, status in (("Available", "True"), ("Ready", "Unknown"))
]


def test_columns(kubectl: Kubectl, model: str) -> None:
    """`kubectl get` shows in one line what serves and what goes on."""
    set_status(
        kubectl,
        model,
        conditions=CONDITIONS,
        stableRevision="bcdfghjklm",
        canaryRevision="npqrstvwxz",
        replicas=3,
        readyReplicas=2,
        url="http://fraud.shop.svc",
        modelUri="s3://models/fraud/7/",
        rollout={"step": 0, "weightPercent": 5, "actualWeightPercent": 33},
    )
    head, row = kubectl("get", "mwd", model).splitlines()
    assert head.split() == ["NAME", "AVAILABLE", "STATUS", "STABLE", "CANARY", "WEIGHT", "AGE"]
    assert row.split()[:-1] == [model, "True", "CanaryStep", "bcdfghjklm", "npqrstvwxz", "33"]
    head, row = kubectl("get", "mwd", model, "-o", "wide").splitlines()
    assert head.split()[7:] == ["READY", "REPLICAS", "STEP", "URL", "MODEL", "MESSAGE"]
    *counts, message = row.split(maxsplit=12)[7:]
    assert counts == ["2", "3", "0", "http://fraud.shop.svc", "s3://models/fraud/7/"]
    assert message == "Step 5%: no sign of harm."


def test_conditions_can_be_waited_for(kubectl: Kubectl, model: str) -> None:
    """Pipelines use `kubectl wait`. It believes a condition as soon as it is of the present generation."""
    generation = (kubectl.get("mwd", model) or {})["metadata"]["generation"]
    set_status(kubectl, model, observedGeneration=generation, conditions=CONDITIONS)
    assert "condition met" in kubectl("wait", f"mwd/{model}", "--for=condition=Available", "--timeout=10s")


def test_names_of_the_kinds(kubectl: Kubectl, model: str) -> None:
    """The short name and the category find the objects."""
    assert kubectl("get", "mwd", "-o", "name") == kubectl("get", "modelward", "-o", "name")
    listed = kubectl("api-resources", "--api-group=modelward.dev", "-o", "name").split()
    assert listed == [
        "clustermodelruntimes.modelward.dev",
        "modeldeployments.modelward.dev",
        "modelruntimes.modelward.dev",
    ]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        pytest.param(
            "modeldeployment.spec.rollout.steps", "Default 5, 25 and 50", id="a list says its default"
        ),
        pytest.param("modeldeployment.spec.rollout.strategy", "BlueGreen", id="a closed set is listed"),
        pytest.param("modeldeployment.status.conditions", "Ready, Available", id="status is explained"),
        pytest.param("clustermodelruntime.spec.container", "-required-", id="what is required is marked"),
    ],
)
def test_explain(kubectl: Kubectl, field: str, words: str) -> None:
    """`kubectl explain` is the manual at hand."""
    assert words in " ".join(kubectl("explain", field).split())


def test_crds_are_accepted_whole(kubectl: Kubectl) -> None:
    """The API server finds no schema that is not structural and no rule that is too dear."""
    for crd in crd_manifests():
        stored = yaml.safe_load(kubectl("get", "crd", crd["metadata"]["name"], "-o", "yaml"))
        conditions = {c["type"]: c["status"] for c in stored["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


def test_a_large_object_is_taken(server: ApiServer, namespace: str) -> None:
    """With every list that rules walk through at its limit, the rules stay within the API server's budget."""
    name = "example.com/" + "k" * 59
    large = deployment(
        "m" * 253,
        model=MODEL | {"uri": "s3://" + "u" * 2043, "version": "v" * 128},
        runtime={
            "env": [{"name": f"N{number:0127}", "value": "v" * 1024} for number in range(128)],
            "args": ["a" * 1024] * 128,
            "signals": {"errors": {"hits": "h" * 1024, "total": "t" * 1024}},
        },
        resources={
            "requests": {f"{name}{number:02}": "1" for number in range(16)},
            "limits": {f"{name}{number:02}": "1000m" for number in range(16)},
        },
        scheduling={"tolerations": [{"key": f"{name}{number}"} for number in range(32)]},
        podLabels={f"{name}{number:02}": "v" * 63 for number in range(32)},
        podAnnotations={f"{name}{number:02}": "v" * 4096 for number in range(32)},
        rollout={"steps": [{"weightPercent": weight} for weight in range(1, 21)]},
        analysis={
            "metrics": [
                {"name": f"m{number}", "kind": "Ratio", "hits": "h" * 1024, "total": "t" * 1024}
                for number in range(16)
            ]
        },
    )
    assert server.problem_text("POST", f"{GROUP_PATH}/namespaces/{namespace}/modeldeployments", large) == ""


def test_a_long_name_is_taken(server: ApiServer, namespace: str) -> None:
    """Children of long names are cut and hashed, so that the name of a model needs no limit of its own."""
    path = f"{GROUP_PATH}/namespaces/{namespace}/modeldeployments"
    assert server.problem_text("POST", path, deployment("m" * 253)) == ""


SCHEMA_ERROR = re.compile("in body|Too long|Too many|Unsupported value|Required value(?!: must)")


@given(objects(ModelDeploymentSpec))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_the_operator_decodes_the_schema_takes(
    server: ApiServer, namespace: str, spec: dict[str, Any]
) -> None:
    """Both are made from the same types; rules and duplicates aside, the API server finds nothing more."""
    problem_text = tried(server, namespace, "ModelDeployment", spec)
    assert not SCHEMA_ERROR.search(problem_text), problem_text
