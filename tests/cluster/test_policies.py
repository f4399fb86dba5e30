"""The admission policies on a real API server: what each lets through, and the words in which it refuses the rest.

They hold for the whole cluster, so they are taken away afterwards.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster.gateway import crd_directory
from devcluster.progress import silence
from support.gateway import ROUTES, remove_kind
from support.kubectl import Kubectl
from support.models import KIND, children, fake_model, wait_ready
from support.operator import OperatorProcess
from support.rights import As, bound, granted, rule
from support.waiting import until

POLICIES = Path(__file__).parents[2] / "manifests" / "policies"
ACCOUNT = "system:serviceaccount:modelward-system:modelward"
API_VERSION = "modelward.dev/v1alpha1"
MANAGED = {"app.kubernetes.io/managed-by": "modelward"}
ONLY_OURS = "the operator may change only what carries app.kubernetes.io/managed-by=modelward"
ONLY_FINALIZERS = "the operator may change the status and the finalizers of a model and nothing else"
ROUTES_FILE = "gateway.networking.k8s.io_httproutes.yaml"


def service(name: str, **metadata: Any) -> dict[str, Any]:
    """A Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, **metadata},
        "spec": {"ports": [{"port": 80}]},
    }


@pytest.fixture(scope="module")
def tenant(kubectl: Kubectl) -> As:
    """A user who may write models, and nothing else."""
    models = rule("modelward.dev", "modeldeployments", "get", "create", "patch")
    kubectl.apply(*granted("tenant", "models", models))
    return As(kubectl, "tenant")


@pytest.fixture(scope="module")
def account(kubectl: Kubectl) -> As:
    """The operator's account with every right there is in the namespace: only the policy holds it back."""
    kubectl.apply(bound(ACCOUNT, "cluster-admin", "ClusterRole"))
    return As(kubectl, ACCOUNT)


def refused_snapshot(kubectl: Kubectl) -> str:
    """What somebody is shown who may write ControllerRevisions, and no pods."""
    kubectl.apply(*granted("prober", "probe", rule("apps", "controllerrevisions", "create")))
    return As(kubectl, "prober").create(snapshot("probe", labels=MANAGED))


@pytest.fixture(scope="module", autouse=True)
def policies(admin: Kubectl, kubectl: Kubectl, account: As, tenant: As) -> Iterator[None]:
    """All policies in force, which they are a moment after they are stored."""
    admin("apply", "-k", str(POLICIES))
    try:
        borrowing = fake_model("probe", serviceAccountName="scorer")
        until(lambda: account.create(service("probe")), "the operator is confined")
        until(lambda: tenant.create(borrowing), "service accounts are guarded")
        until(lambda: "snapshot" in refused_snapshot(kubectl), "snapshots are guarded")
        until(lambda: "adopt" in tenant.create(adopting("probe")), "adoptions are guarded")
        yield
    finally:
        admin("delete", "-k", str(POLICIES))


def adopting(name: str) -> dict[str, Any]:
    """A model that asks for what an earlier one has left."""
    raw = fake_model(name)
    return {**raw, "metadata": {**raw["metadata"], "annotations": {"modelward.dev/adopt": "bcdfghjklm"}}}


def test_f20_who_may_patch_deployments_may_have_them_taken_back(kubectl: Kubectl, tenant: As) -> None:
    """And nobody else: the operator would do for them what they may not do themselves."""
    refused = tenant.create(adopting("borrower"))
    assert "modelward.dev/adopt: tenant may not have Deployments taken back" in refused
    models = rule("modelward.dev", "modeldeployments", "get", "create", "patch")
    kubectl.apply(*granted("restorer", "restore", models, rule("apps", "deployments", "patch")))
    until(
        lambda: not As(kubectl, "restorer").create(adopting("restored")), "who may patch them may ask for it"
    )
    assert not tenant.create(fake_model("plain"))


def test_a_service_account_must_be_ones_own_to_use(tenant: As) -> None:
    """The message names the field, the user, the account, and what is lacking."""
    refused = tenant.create(fake_model("borrowed", serviceAccountName="scorer"))
    assert "spec.serviceAccountName: tenant may not run pods as service account scorer" in refused
    assert "needs the verb use on serviceaccounts/scorer, or create on pods" in refused


def test_a_model_without_a_service_account_needs_nothing(tenant: As) -> None:
    """Its pods run as the namespace's default account, without a token unless the runtime asks for it."""
    assert tenant.create(fake_model("plain")) == ""


@pytest.mark.parametrize(
    ("user", "right"),
    [
        pytest.param("user", rule("", "serviceaccounts", "use", names=("scorer",)), id="may use it"),
        pytest.param("maker", rule("", "pods", "create"), id="may create pods"),
    ],
)
def test_who_may_use_the_account_may_name_it(kubectl: Kubectl, user: str, right: dict[str, Any]) -> None:
    """By the verb `use` on that account and no other, or because they could run pods as it anyway."""
    kubectl.apply(
        *granted(user, f"right-of-{user}", right, rule("modelward.dev", "modeldeployments", "create"))
    )
    somebody = As(kubectl, user)
    until(lambda: not somebody.create(fake_model("lent", serviceAccountName="scorer")), f"{user} may")
    other = somebody.create(fake_model("lent", serviceAccountName="other"))
    assert ("may not run pods" in other) == (user == "user")


def test_what_others_set_up_may_not_be_used(kubectl: Kubectl, tenant: As) -> None:
    """Another image under an account that was given earlier is refused, and so is a command; a label is not."""
    kubectl.apply(fake_model("given", serviceAccountName="scorer"))
    image = {"spec": {"runtime": {"image": "registry.invalid/evil:1"}}}
    command = {"metadata": {"annotations": {"modelward.dev/refresh": "now"}}}
    assert "may not run pods" in tenant.patch(KIND, "given", image)
    assert "may not run pods" in tenant.patch(KIND, "given", command)
    assert tenant.patch(KIND, "given", {"metadata": {"labels": {"team": "a"}}}) == ""
    assert tenant.patch(KIND, "given", {"spec": {"serviceAccountName": None}}) == ""


def snapshot(name: str, **metadata: Any) -> dict[str, Any]:
    """A ControllerRevision."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name, **metadata},
        "revision": 1,
        "data": {},
    }


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({"labels": MANAGED}, id="by its label"),
        pytest.param(
            {
                "ownerReferences": [
                    {"apiVersion": API_VERSION, "kind": "ModelDeployment", "name": "m", "uid": "u"}
                ]
            },
            id="by its owner",
        ),
    ],
)
def test_a_snapshot_of_a_model_is_written_by_who_may_create_pods(
    kubectl: Kubectl, account: As, metadata: dict[str, Any]
) -> None:
    """And by the operator; a ControllerRevision of somebody else is nobody's business."""
    snapshots = rule("apps", "controllerrevisions", "get", "create", "patch")
    kubectl.apply(
        *granted("planter", "plant", snapshots),
        *granted("runner", "run", snapshots, rule("", "pods", "create")),
    )
    planter, runner = As(kubectl, "planter"), As(kubectl, "runner")
    until(lambda: not planter.create(snapshot("other")), "snapshots of others may be written")
    until(lambda: not runner.create(snapshot("ours", **metadata)), "who may create pods may")
    refused = planter.create(snapshot("ours", **metadata))
    assert "planter may not write the snapshot of a model: that needs the right to create pods" in refused
    assert account.create(snapshot("ours", **{"labels": MANAGED, **metadata})) == ""


def test_a_pin_is_written_and_deleted_by_who_may_create_pods(kubectl: Kubectl, account: As) -> None:
    """Whoever may write ConfigMaps alone neither makes, nor changes, nor deletes one of a model."""
    pins = rule("", "configmaps", "get", "create", "patch", "delete")
    kubectl.apply(
        *granted("pinner", "pin", pins), *granted("starter", "start", pins, rule("", "pods", "create"))
    )
    pinner, starter = As(kubectl, "pinner"), As(kubectl, "starter")
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}}
    until(lambda: not pinner.create(own), "other ConfigMaps may be written")
    pin = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pin", "labels": MANAGED}}
    assert "pinner may not write the pin of a model: that needs the right" in pinner.create(pin)
    until(lambda: not starter.create(pin), "who may create pods may")
    kubectl.apply(pin)
    assert "may not write the pin" in pinner.patch("configmap", "pin", {"data": {"pin.json": "{}"}})
    assert "may not write the pin" in pinner.patch("configmap", "pin", {"metadata": {"labels": None}})
    assert "may not write the pin" in pinner("delete", "configmap", "pin")
    assert account.create(pin | {"metadata": {"name": "of-the-operator", "labels": MANAGED}}) == ""


def test_the_account_may_make_and_change_what_carries_the_label(kubectl: Kubectl, account: As) -> None:
    """And what does not, it may not touch."""
    kubectl.apply(service("ours", labels=MANAGED), service("theirs"))
    change = {"spec": {"selector": {"app": "x"}}}
    assert account.create(service("new", labels=MANAGED)) == ""
    assert ONLY_OURS in account.create(service("new"))
    assert account.patch("service", "ours", change) == ""
    assert ONLY_OURS in account.patch("service", "theirs", change)
    assert account("delete", "service", "ours", "--dry-run=server") == ""
    assert f"{ONLY_OURS}: services {kubectl.namespace}/theirs" in account(
        "delete", "service", "theirs", "--dry-run=server"
    )


def deployment(name: str, selector: dict[str, str]) -> dict[str, Any]:
    """A Deployment without pods."""
    container = {"name": "a", "image": "registry.invalid/a:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": MANAGED},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": selector}, "spec": {"containers": [container]}},
        },
    }


@pytest.mark.parametrize(
    ("name", "selector", "allowed"),
    [
        pytest.param(
            "m-bcdfghjklm",
            {"modelward.dev/model": "m", "modelward.dev/revision": "bcdfghjklm"},
            True,
            id="ours",
        ),
        pytest.param(
            "m-other",
            {"modelward.dev/model": "m", "modelward.dev/revision": "bcdfghjklm"},
            False,
            id="its name",
        ),
        pytest.param("m-bcdfghjkln", {"modelward.dev/model": "m"}, False, id="no revision"),
        pytest.param("web-bcdfghjklp", {"app": "web"}, False, id="another's"),
    ],
)
def test_f24_the_account_scales_deployments_of_models(
    kubectl: Kubectl, account: As, name: str, selector: dict[str, str], *, allowed: bool
) -> None:
    """And no other: a Scale has no labels, so its selector and its name show whose it is."""
    kubectl.apply(deployment(name, selector))
    refused = account.patch("deployment", name, {"spec": {"replicas": 0}}, "--subresource=scale")
    assert refused == "" if allowed else ONLY_OURS in refused


def test_the_account_may_not_move_the_label(kubectl: Kubectl, account: As) -> None:
    """Neither claim a stranger's object by labelling it, nor let go of its own."""
    kubectl.apply(service("mine", labels=MANAGED), service("foreign"))
    assert ONLY_OURS in account.patch("service", "foreign", {"metadata": {"labels": MANAGED}})
    assert ONLY_OURS in account.patch("service", "mine", {"metadata": {"labels": dict.fromkeys(MANAGED)}})


def test_the_account_reaches_nothing_else(account: As) -> None:
    """Whatever RBAC grants it: no Secret, no token, no binding, and no model of its own."""
    assert ONLY_OURS in account("create", "secret", "generic", "stolen", "--dry-run=server")
    assert ONLY_OURS in account("create", "token", "default")
    assert ONLY_OURS in account("create", "rolebinding", "more", "--clusterrole=admin", "--user=x")
    assert ONLY_FINALIZERS in account.create(fake_model("own"))


def test_the_account_writes_status_and_finalizers_of_models(kubectl: Kubectl, account: As) -> None:
    """And neither their spec nor their metadata, nor does it delete them."""
    kubectl.apply(fake_model("theirs"))
    finalizer = {"metadata": {"finalizers": ["modelward.dev/route"]}}
    assert account.patch(KIND, "theirs", finalizer) == ""
    assert account.patch(KIND, "theirs", {"status": {"replicas": 1}}, "--subresource=status") == ""
    assert ONLY_FINALIZERS in account.patch(KIND, "theirs", {"spec": {"replicas": 7}})
    assert ONLY_FINALIZERS in account.patch(KIND, "theirs", {"spec": {"replicas": 7}}, "--subresource=scale")
    assert ONLY_FINALIZERS in account.patch(KIND, "theirs", {"metadata": {"labels": {"a": "b"}}})
    assert ONLY_FINALIZERS in account("delete", KIND, "theirs", "--dry-run=server")


@pytest.fixture
def routes(admin: Kubectl) -> Iterator[None]:
    """The kind HTTPRoute and no other of the Gateway API; taken away again where it was not."""
    before = admin("get", "crd", ROUTES, "--ignore-not-found")
    if not before:
        admin("apply", "--server-side", "-f", str(crd_directory(silence) / ROUTES_FILE))
        admin("wait", "--for=condition=Established", f"crd/{ROUTES}", "--timeout=30s")
    yield
    if not before:
        remove_kind(admin)


def route(name: str, weight: int, **labels: str) -> dict[str, Any]:
    """Somebody's HTTPRoute with a canary."""
    backends = [
        {"name": "m", "port": 80, "weight": 100 - weight},
        {"name": "m-canary", "port": 80, "weight": weight},
    ]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "labels": labels},
        "spec": {"parentRefs": [{"name": "public"}], "rules": [{"backendRefs": backends}]},
    }


@pytest.mark.slow
@pytest.mark.usefixtures("routes")
def test_the_account_weighs_routes_that_opted_in(kubectl: Kubectl, account: As) -> None:
    """Their weights, and no other route, host name or Gateway."""
    opted = {"modelward.dev/weights": "managed"}
    kubectl.apply(route("in", 0, **opted), route("out", 0))
    weights = {"spec": {"rules": route("in", 5)["spec"]["rules"]}}
    assert account.patch("httproute", "in", weights) == ""
    assert "and the weights of a route that carries modelward.dev/weights=managed" in account.patch(
        "httproute", "out", weights
    )
    assert ONLY_OURS in account.patch("httproute", "in", {"spec": {"hostnames": ["evil.example.com"]}})
    assert ONLY_OURS in account.patch("httproute", "out", {"metadata": {"labels": opted}})
    assert ONLY_OURS in account("delete", "httproute", "in", "--dry-run=server")


def test_the_operator_needs_no_more(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A model is served, changed, repaired and deleted under all policies, and nothing is refused."""
    kubectl.apply(fake_model("life"))
    first = wait_ready(kubectl, "life")["stableRevision"]
    kubectl.patch("deployment", f"life-{first}", {"metadata": {"labels": dict.fromkeys(MANAGED)}})
    until(lambda: _is_managed(kubectl, f"life-{first}"), "the label is back")
    kubectl.apply(fake_model("life", version="2"))
    until(lambda: wait_ready(kubectl, "life")["stableRevision"] != first, "the change is through")
    kubectl("delete", KIND, "life")
    until(lambda: not children(kubectl, "deploy", "life"), "its objects are gone")
    assert "the operator may change" not in operator.text()


def _is_managed(kubectl: Kubectl, name: str) -> bool:
    deployment = kubectl.get("deployment", name)
    assert deployment is not None
    labels: dict[str, str] = deployment["metadata"]["labels"]
    return MANAGED.items() <= labels.items()
