"""Models that lie in a store: fetched into real pods with credentials, and known by their digest for as long as they run.

The stores are processes of this machine: S3 and IAM by moto, a web server with an authority of its own. The fetch image is
the one that the Dockerfile makes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.traffic import first_answer
from devcluster import Cluster
from devcluster.images import REFERENCES, build_image
from support import fetch_moto, fetch_site
from support.fetch_moto import VERSIONED, Moto
from support.fetch_site import Page, Site
from support.kubectl import Kubectl
from support.models import KIND, children, condition, status, wait_quiet, wait_ready, wait_reason
from support.operator import OperatorProcess
from support.served import MODEL, runtime
from support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("operator")]

MODELS = Path(__file__).parents[1] / "model_server" / "models"
ONE, TWO = ((MODELS / number / "model.onnx").read_bytes() for number in "12")
FETCHER = "fetch-model"
SAMPLE = Path(__file__).parents[2] / "manifests" / "samples" / "storage.yaml"


@pytest.fixture(scope="module")
def store(node: Cluster) -> Iterator[Moto]:
    """S3 as pods reach it, with both versions of the model."""
    with fetch_moto.running(node.host_address) as moto:
        for version, content in (("1", ONE), ("2", TWO)):
            moto.put(f"breast-cancer/{version}/model.onnx", content)
        yield moto


@pytest.fixture(scope="module")
def site(node: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A web server as pods reach it."""
    with fetch_site.serving(tmp_path_factory.mktemp("site"), host=node.host_address) as found:
        yield found


@pytest.fixture(scope="module")
def operator(
    node: Cluster, credentials: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator with an image that fetches, which asks the stores of this machine by plain http."""
    node.load_image(build_image("fetch"))
    folder = tmp_path_factory.mktemp("operator")
    settings = {"fetch": {"image": REFERENCES["fetch"], "plainHttpHosts": [node.host_address]}}
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    process = OperatorProcess(credentials, folder, "--settings", str(folder / "settings.yaml"))
    try:
        process.start()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module", autouse=True)
def prepared(kubectl: Kubectl, store: Moto) -> None:
    """A runtime whose image has models, too: what is fetched is mounted over them."""
    kubectl.apply(runtime(signals=False, startup_seconds=60))
    kubectl.apply(secret("reader", store.reader))
    kubectl.apply(secret("stranger", store.stranger))


def secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    """A Secret as a user makes it."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}


def model(name: str, uri: str, *, by: str = "reader", replicas: int = 1, **more: Any) -> dict[str, Any]:
    """A ModelDeployment that fetches its model."""
    source = {"name": MODEL, "uri": uri, "secretRef": {"name": by}, **more}
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {
            "model": source,
            "runtime": {"name": "onnx-server"},
            "replicas": replicas,
            "rollout": {"strategy": "Direct", "progressDeadlineSeconds": 300, "keepPreviousSeconds": 0},
        },
    }


def address(kubectl: Kubectl, name: str) -> str:
    """Of the Service, as the host reaches it."""
    service = kubectl.get("service", name)
    assert service is not None
    return f"http://{service['spec']['clusterIP']}"


def reports(kubectl: Kubectl, name: str) -> dict[str, dict[str, Any]]:
    """What the pods of a model have reported, by their names."""
    found = {}
    for pod in children(kubectl, "pods", name):
        for container in pod.get("status", {}).get("initContainerStatuses") or ():
            ended = container["state"].get("terminated") or container["lastState"].get("terminated") or {}
            if container["name"] == FETCHER and ended.get("message"):
                found[pod["metadata"]["name"]] = json.loads(ended["message"])
    return found


def digests(kubectl: Kubectl, name: str) -> set[str]:
    """Of the models that its pods have."""
    return {each.get("digest", "") for each in reports(kubectl, name).values()}


def wait_fetched(kubectl: Kubectl, name: str, count: int) -> None:
    """Wait until so many pods have reported."""
    until(lambda: len(reports(kubectl, name)) == count, f"{count} pods of {name} have fetched")


def test_a_changed_uri_goes_out_and_what_runs_is_known(kubectl: Kubectl, store: Moto) -> None:
    """From a bucket, with a user's keys: the second version is another address; status and history show both."""
    kubectl.apply(model("bucket", "s3://models/breast-cancer/1"))
    wait_ready(kubectl, "bucket")
    first_answer(address(kubectl, "bucket"), MODEL)
    (first,) = digests(kubectl, "bucket")
    assert status(kubectl, "bucket")["fetched"][0]["digest"] == first
    second = "s3://models/breast-cancer/2"
    kubectl.apply(model("bucket", second))
    until(lambda: status(kubectl, "bucket").get("modelUri") == f"{second}/", "it is promoted")
    wait_ready(kubectl, "bucket")
    found = wait_quiet(kubectl, "bucket")
    until(lambda: first not in digests(kubectl, "bucket"), "the pods of the first version have gone")
    assert found["history"][0]["modelUri"] == f"{second}/"
    assert found["history"][0]["modelDigest"] in digests(kubectl, "bucket")
    assert second in kubectl("get", KIND, "bucket", "-o", "wide")
    pin = kubectl.get("configmap", f"bucket-{found['stableRevision']}")
    assert pin is not None
    assert pin["immutable"] is True


def test_the_sample_is_served_from_a_store(kubectl: Kubectl, store: Moto) -> None:
    """manifests/samples/storage.yaml as it stands, but for the store's address and keys and the name of the runtime."""
    keys, sample = yaml.safe_load_all(SAMPLE.read_text())
    assert keys["stringData"].keys() == store.reader.keys()
    keys["stringData"] = store.reader
    sample["spec"] |= {"runtime": {"name": "onnx-server"}}
    kubectl.apply(keys, sample)
    wait_ready(kubectl, MODEL)
    assert first_answer(address(kubectl, MODEL), MODEL).version == "1"
    assert len(digests(kubectl, MODEL)) == 1


def test_a_canary_whose_model_is_not_there_goes_back(kubectl: Kubectl) -> None:
    """With the reason and the remedy; the old version serves on."""
    kubectl.apply(model("missing", "s3://models/breast-cancer/1"))
    wait_ready(kubectl, "missing")
    stable = status(kubectl, "missing")["stableRevision"]
    kubectl.apply(model("missing", "s3://models/breast-cancer/99"))
    ready = wait_reason(kubectl, "missing", "RolledBack")
    assert "its model cannot be fetched (NotFound)" in ready["message"]
    assert "Check the address, letter by letter" in ready["message"]
    assert status(kubectl, "missing")["rejectedRevisions"][0]["reason"] == "NotFound"
    assert status(kubectl, "missing")["stableRevision"] == stable
    first_answer(address(kubectl, "missing"), MODEL)


def test_a_first_deployment_says_why_and_heals_when_the_cause_goes(kubectl: Kubectl, store: Moto) -> None:
    """Keys of somebody who may not read; then the right ones in the same Secret, and nothing else is done."""
    kubectl.apply(secret("wrong", store.stranger))
    kubectl.apply(model("denied", "s3://models/breast-cancer/1", by="wrong"))
    ready = wait_reason(kubectl, "denied", "Denied")
    assert "spec.model.secretRef" in ready["message"]
    assert store.stranger["AWS_SECRET_ACCESS_KEY"] not in json.dumps(kubectl.get(KIND, "denied"))
    kubectl.apply(secret("wrong", store.reader))
    wait_ready(kubectl, "denied")


def test_a_secret_that_is_missing_is_reported_and_awaited(kubectl: Kubectl, store: Moto) -> None:
    """The kubelet alone would hold the pod back and say so in an Event."""
    kubectl.apply(model("absent", "s3://models/breast-cancer/1", by="later"))
    assert "does not exist" in wait_reason(kubectl, "absent", "Denied")["message"]
    kubectl.apply(secret("later", store.reader))
    wait_ready(kubectl, "absent")


def test_all_pods_have_one_model_while_the_object_is_overwritten(kubectl: Kubectl, store: Moto) -> None:
    """A bucket with versions: whoever starts later follows the pin."""
    store.put("model.onnx", ONE, VERSIONED)
    kubectl.apply(model("pinned", f"s3://{VERSIONED}/model.onnx"))
    wait_ready(kubectl, "pinned")
    found = wait_quiet(kubectl, "pinned")
    assert found["fetched"][0]["identity"] == "Pinned"
    assert "versionId=" in found["modelUri"]
    assert not condition(kubectl, "pinned", "SourceMutable")
    for replicas in (2, 4):
        store.put("model.onnx", TWO if replicas == 2 else ONE + TWO, VERSIONED)
        kubectl("scale", KIND, "pinned", f"--replicas={replicas}")
        wait_fetched(kubectl, "pinned", replicas)
    assert digests(kubectl, "pinned") == {found["fetched"][0]["digest"]}
    wait_ready(kubectl, "pinned")
    until(lambda: condition(kubectl, "pinned", "SourceMoved").get("status") == "True", "it is reported")
    assert not condition(kubectl, "pinned", "ModelChanged")


def test_where_nothing_can_pin_a_later_pod_fails_and_says_so(kubectl: Kubectl, site: Site) -> None:
    """A web server with an authority of its own. The pod that runs is left alone, and what was put back recovers."""
    site.pages["/model.onnx"] = Page(ONE)
    kubectl.apply(secret("web", {"ca.crt": site.ca}))
    kubectl.apply(model("mutable", f"{site.url}/model.onnx", by="web"))
    wait_ready(kubectl, "mutable")
    wait_quiet(kubectl, "mutable")
    assert condition(kubectl, "mutable", "SourceMutable")["status"] == "True"
    site.pages["/model.onnx"] = Page(TWO, etag='"two"')
    kubectl("scale", KIND, "mutable", "--replicas=2")
    until(lambda: condition(kubectl, "mutable", "ModelChanged").get("status") == "True", "it is reported")
    assert "modelward.dev/refresh" in condition(kubectl, "mutable", "ModelChanged")["message"]
    assert condition(kubectl, "mutable", "Available")["status"] == "True"
    kubectl("annotate", KIND, "mutable", "modelward.dev/refresh=1")
    until(lambda: not condition(kubectl, "mutable", "ModelChanged"), "the refresh is promoted")
    wait_ready(kubectl, "mutable")
    until(lambda: len(digests(kubectl, "mutable")) == 1, "the pods of the version before have gone")


def test_a_planted_secret_is_nowhere(
    kubectl: Kubectl, store: Moto, operator: OperatorProcess, namespace: str
) -> None:
    """Not in a manifest, an Event, a log, a report: only in the Secret itself."""
    planted = store.reader["AWS_SECRET_ACCESS_KEY"]
    kinds = "modeldeployments,deployments,replicasets,controllerrevisions,pods,configmaps,services,events"
    assert planted not in kubectl("get", kinds, "-o", "yaml")
    logs = [
        kubectl("logs", pod["metadata"]["name"], "-c", FETCHER)
        for pod in kubectl.all("pods")
        if pod["spec"].get("initContainers")
    ]
    assert logs
    assert planted not in "".join(logs)
    assert planted not in operator.text()
    assert namespace
