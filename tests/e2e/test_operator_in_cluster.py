"""The operator as it is shipped: from its image, by manifests/base, in its own restricted namespace.

Not together with the fixture `operator`, which runs it as a process of the host: two must not work at once.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import traffic
from demo.traffic import Traffic
from devcluster import Cluster
from devcluster.images import build_image
from support.audit import lacked_a_right, requests
from support.kubectl import Kubectl
from support.waiting import until

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
SYSTEM = "modelward-system"
MODEL = "breast-cancer"
PATIENCE_SECONDS = 180.0
ENOUGH_REQUESTS = 50

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def node(cluster: Cluster) -> Cluster:
    """A cluster whose real node has both images."""
    if not cluster.has_node:
        pytest.skip("no real node on this machine: pods cannot run")
    cluster.load_image(build_image("operator"))
    cluster.load_image(build_image("model-server"))
    return cluster


@pytest.fixture(scope="module")
def system(node: Cluster) -> Iterator[Kubectl]:
    """The operator's namespace, with the operator running in it; its Deployment is deleted afterwards."""
    kubectl = Kubectl(node, SYSTEM)
    kubectl("apply", "-k", str(ROOT / "manifests" / "base"))
    kubectl("rollout", "status", "deployment/modelward", "--timeout=110s")
    yield kubectl
    kubectl("delete", "deployment", "modelward", "--wait")
    until(lambda: not kubectl.all("pods"), "the operator's pods are gone", seconds=PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def served(system: Kubectl, kubectl: Kubectl) -> Iterator[str]:
    """Address of the sample model's Service, once the model is Ready."""
    kubectl("apply", "-f", str(SAMPLES / "runtime.yaml"), "-f", str(SAMPLES / "model.yaml"))
    kubectl("wait", "--for=condition=Ready", f"modeldeployment/{MODEL}", "--timeout=110s")
    url = f"http://{kubectl('get', 'service', MODEL, '-o', 'jsonpath={.spec.clusterIP}')}"
    traffic.first_answer(url, MODEL)
    yield url
    kubectl("delete", "modeldeployment", MODEL, "--cascade=foreground", "--timeout=110s")
    kubectl("delete", "-f", str(SAMPLES / "runtime.yaml"))


def test_namespace_of_the_operator_is_restricted(system: Kubectl, admin: Kubectl) -> None:
    """The operator's pods were admitted where Pod Security enforces `restricted`, and have no more rights than that."""
    namespace = admin.get("namespace", SYSTEM)
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pods = system.all("pods")
    assert len(pods) == 2
    for pod in pods:
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] == 65532


def test_image_holds_all_that_the_operator_imports(system: Kubectl) -> None:
    """Each of its modules can be imported in the image, although that has but a part of Python's library."""
    broken = json.loads(system("exec", "deployment/modelward", "--", "python", "-c", _IMPORT_ALL))
    assert broken == []


def test_answers_as_the_model_card_says(served: str) -> None:
    """A real inference request through the ClusterIP has the scores that the model card promises."""
    answer = traffic.first_answer(served, MODEL)
    assert answer.version == "1"
    assert answer.scores == pytest.approx(traffic.expected_scores("1"), abs=1e-4)


def test_serving_pods_have_no_rights(served: str, kubectl: Kubectl) -> None:
    """Serving pods carry no token, run as 65532, cannot write to their root, and have no capabilities."""
    pods = kubectl.all("pods", f"modelward.dev/model={MODEL}")
    assert pods
    for pod in pods:
        name, spec = pod["metadata"]["name"], pod["spec"]
        (container,) = spec["containers"]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert not any("serviceaccount" in path for path in mounts)
        assert not [volume for volume in spec["volumes"] if "projected" in volume or "secret" in volume]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        found = json.loads(kubectl("exec", name, "--", "python", "-c", _LIST_FILES))
        assert found == {"uid": 65532, "gid": 65532, "root is read-only": True, "token": False, "tmp": True}


def test_change_fails_no_request(served: str, kubectl: Kubectl) -> None:
    """A model change under constant load reaches every client, and not one request fails."""
    with Traffic(served, MODEL) as load:
        until(lambda: load.versions()["1"] >= ENOUGH_REQUESTS, "version 1 answers")
        direct = {"strategy": "Direct"}  # whole canaries have tests of their own
        kubectl.patch("modeldeployment", MODEL, {"spec": {"model": {"version": "2"}, "rollout": direct}})
        kubectl("wait", "--for=condition=RolloutSucceeded", f"modeldeployment/{MODEL}", "--timeout=110s")
        until(lambda: _only(load, "2"), "only version 2 answers", seconds=PATIENCE_SECONDS)
        until(lambda: len(_deployments(kubectl)) == 1, "version 1 is gone", seconds=PATIENCE_SECONDS)
        gone = time.monotonic()
        until(lambda: load.versions(gone)["2"] >= ENOUGH_REQUESTS, "version 2 answers after that")
    assert load.failures() == []
    assert set(load.versions()) == {"1", "2"}
    kubectl("wait", "--for=condition=Ready", f"modeldeployment/{MODEL}", "--timeout=60s")


def test_endings_of_serving_pods_fail_no_request(served: str, kubectl: Kubectl) -> None:
    """With every serving pod deleted one after the other, as a drain does it, not one request fails."""
    before = {pod["metadata"]["name"] for pod in _ready_pods(kubectl)}
    with Traffic(served, MODEL) as load:
        until(lambda: len(load.samples()) >= ENOUGH_REQUESTS, "the model answers")
        for name in sorted(before):
            kubectl("delete", "pod", name, "--wait")
            until(lambda: len(_ready_pods(kubectl)) == len(before), "all pods are ready again")
        ended = time.monotonic()
        until(lambda: len(load.samples(ended)) >= ENOUGH_REQUESTS, "the model answers after that")
    assert load.failures() == []
    assert not before & {pod["metadata"]["name"] for pod in _ready_pods(kubectl)}


def test_operator_has_all_rights_it_uses(served: str, node: Cluster, system: Kubectl) -> None:
    """The audit log knows requests of the operator's account, and none of them was forbidden."""
    asked = [event for event in requests(node) if event["stage"] == "ResponseComplete"]
    assert asked
    refused = [event["requestURI"] for event in asked if lacked_a_right(event)]
    assert refused == []


def test_operator_has_not_restarted(served: str, system: Kubectl) -> None:
    """After all of this both operators run in the containers that they were started in."""
    restarts = {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in system.all("pods", "app.kubernetes.io/name=modelward")
    }
    assert list(restarts.values()) == [0, 0]


def test_one_of_the_two_operators_leads(served: str, system: Kubectl) -> None:
    """By the Lease in their own namespace, in which the holder has the name of its pod."""
    lease = system.get("lease", "modelward")
    assert lease is not None
    holder = lease["spec"]["holderIdentity"].partition("_")[0]
    assert holder in {pod["metadata"]["name"] for pod in system.all("pods")}


_IMPORT_ALL = """
import importlib, json, pkgutil
import modelward
broken = set()
for module in pkgutil.walk_packages(modelward.__path__, "modelward."):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ImportError as error:
            broken.add(str(error))
print(json.dumps(sorted(broken)))
"""
_LIST_FILES = """
import json, os
def writable(path):
    try:
        open(path + "/probe", "w").close()
    except OSError as error:
        return False
    return True
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "root is read-only": not writable("/") and not writable("/app"),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"), "tmp": writable("/tmp"),
}))
"""


def _only(load: Traffic, version: str) -> bool:
    """Whether of the latest requests all were answered by that version."""
    latest = load.samples()[-ENOUGH_REQUESTS:]
    return {sample.version for sample in latest} == {version}


def _deployments(kubectl: Kubectl) -> list[dict[str, Any]]:
    return kubectl.all("deployments", f"modelward.dev/model={MODEL}")


def _ready_pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    """Pods that are Ready and not on their way out."""
    return [
        pod
        for pod in kubectl.all("pods", f"modelward.dev/model={MODEL}")
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"]["conditions"])
    ]
