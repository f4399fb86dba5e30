"""The Helm chart on a real API server: everything that it renders is accepted, and it takes over only what it is given."""

import json
from collections.abc import Iterator
from typing import Final

import helm_python
import pytest

from devcluster import Cluster
from support.chart import RELEASE, Manifest, chart, helm, rendered
from support.install_page import commands
from support.kubectl import Kubectl
from support.models import KIND, fake_model
from unit.chart.cases import CASES

RESTRICTED: Final = "pod-security.kubernetes.io/warn=restricted"
UNKNOWN_KINDS: Final = {"ServiceMonitor"}
"""Of the Prometheus operator, which the test cluster does not have."""


CRDS: Final = "clustermodelruntimes", "modeldeployments", "modelruntimes"


@pytest.fixture(scope="module")
def system(namespace: str, admin: Kubectl) -> Iterator[str]:
    """A namespace for the operator, by the commands of docs/install.md; deleted afterwards."""
    name = f"{namespace}-system"
    for verb in ("create", "label"):
        (words,) = commands("kubectl", verb, "namespace")
        admin(verb, "namespace", *(name if each == "modelward-system" else each for each in words))
    yield name
    admin("delete", "namespace", name, "--wait=false")


@pytest.fixture
def release(cluster: Cluster, system: str) -> Iterator[helm_python.Config]:
    """Helm, with nothing installed before and afterwards."""
    with helm(cluster, system) as config:
        yield config
        config.uninstall(RELEASE, ignore_not_found=True)


def everything(namespace: str) -> Iterator[Manifest]:
    """Each different object that the chart renders for the values of the snapshots."""
    seen = set()
    for values in [{}, *CASES.values()]:
        for each in rendered(values, namespace=namespace):
            text = json.dumps(each, sort_keys=True)
            served_by_it = each["metadata"].get("namespace", namespace) == namespace
            if text not in seen and each["kind"] not in UNKNOWN_KINDS and served_by_it:
                seen.add(text)
                yield each


def test_everything_that_it_renders_is_accepted(kubectl: Kubectl) -> None:
    """As `kubectl apply` of the rendered text, object by object; with no unknown field and no Pod Security warning."""
    kubectl("label", "namespace", kubectl.namespace, RESTRICTED)
    objects = list(everything(kubectl.namespace))
    assert {each["kind"] for each in objects} >= {"ConfigMap", "PriorityClass", "ValidatingAdmissionPolicy"}
    command = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
    done = kubectl.run(*command, stdin=as_list(objects))
    assert (done.returncode, done.stdout.count("(server dry run)")) == (0, len(objects)), done.stderr
    assert "PodSecurity" not in done.stderr


def test_its_pods_are_admitted_where_restricted_is_enforced(kubectl: Kubectl) -> None:
    """The template of each Deployment as a pod, less account and priority class, which are not in this namespace."""
    pods = [
        pod(f"pod-{number}", each["spec"]["template"]["spec"])
        for number, each in enumerate(everything(kubectl.namespace))
        if each["kind"] == "Deployment"
    ]
    assert len(pods) > len(CASES) / 2
    admitted = kubectl("create", "--dry-run=server", "-f", "-", stdin=as_list(pods))
    assert admitted.count("created (server dry run)") == len(pods)
    privileged = pod("privileged", {"containers": [{"name": "shell", "image": "shell"}]})
    assert (
        "violates PodSecurity"
        in kubectl.run("create", "--dry-run=server", "-f", "-", stdin=as_list([privileged])).stderr
    )


def pod(name: str, spec: Manifest) -> Manifest:
    """A pod of a template."""
    kept = {key: each for key, each in spec.items() if key not in {"serviceAccountName", "priorityClassName"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": kept}


def as_list(objects: list[Manifest]) -> str:
    """All of them as one document."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def test_what_is_there_already_stays_with_who_made_it(release: helm_python.Config, admin: Kubectl) -> None:
    """Helm takes over nothing unasked: it names what is not its own, and makes nothing."""
    before = admin("get", "crd,clusterrole,priorityclass", "-o", "name")
    with pytest.raises(helm_python.HelmReleaseError, match="cannot be imported into the current release"):
        release.install(chart(), RELEASE, {"replicas": 0})
    assert admin("get", "crd,clusterrole,priorityclass", "-o", "name") == before


def test_helm_takes_over_crds_that_are_handed_to_it(
    release: helm_python.Config, system: str, kubectl: Kubectl, admin: Kubectl
) -> None:
    """By the commands of docs/install.md. They keep their uid, and models what they are."""
    kubectl.apply(fake_model("before"))
    before = uids(admin, *CRDS), kubectl.get(KIND, "before")
    for verb in ("label", "annotate"):
        (words,) = commands("kubectl", verb, "crd")
        admin(
            verb, "crd", *(each.replace("=modelward-system", f"={system}") for each in words), "--overwrite"
        )
    # What else is for the whole cluster belongs to all tests.
    others = {each: {"create": False} for each in ("rbac", "userRoles", "priorityClass")}
    assert release.install(chart(), RELEASE, {"replicas": 0} | others)["status"] == "deployed"
    release.uninstall(RELEASE)
    assert (uids(admin, *CRDS), kubectl.get(KIND, "before")) == before


def uids(kubectl: Kubectl, *names: str) -> list[str]:
    """Who the CRDs are: another one of the same name would have another."""
    found = [kubectl.get("crd", f"{name}.modelward.dev") or {} for name in names]
    return [str(each["metadata"]["uid"]) for each in found]
