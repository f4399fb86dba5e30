"""Every sample in manifests/samples is applied as it stands, and does what its comment says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo import traffic
from devcluster import Cluster
from support.kubectl import Kubectl
from support.operator import OperatorProcess
from support.waiting import until

SAMPLES = Path(__file__).parents[2] / "manifests" / "samples"
RUNTIME = SAMPLES / "runtime.yaml"
BAD_IMAGE = SAMPLES / "bad-image.yaml"
STORAGE = SAMPLES / "storage.yaml"
"""Needs a store; it is served in test_fetched_models."""
PATIENCE_SECONDS = 150.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runtime(node: Cluster, kubectl: Kubectl, operator: OperatorProcess) -> Iterator[None]:
    """The sample runtime, its image on the node, and the operator running."""
    kubectl("apply", "-f", str(RUNTIME))
    yield
    kubectl("delete", "-f", str(RUNTIME))


def _models(path: Path) -> list[dict[str, Any]]:
    return [
        each for each in yaml.safe_load_all(path.read_text()) if each and each["kind"] == "ModelDeployment"
    ]


BY_DAY = ("model", "canary", "full", "own-image")
"""Those that `make test` has on real pods, too; of the others the API server's opinion is asked there (test_docs)."""
SERVING = [
    path for path in sorted(SAMPLES.glob("*.yaml")) if path not in {BAD_IMAGE, STORAGE} and _models(path)
]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in BY_DAY else pytest.mark.integrations)
        for path in SERVING
    ],
)
def test_sample_serves(runtime: None, kubectl: Kubectl, path: Path) -> None:
    """The sample becomes Ready and answers, by its Service, as the card of that version says."""
    (model,) = _models(path)
    name = model["metadata"]["name"]
    served = model["spec"].get("model", {}).get("name", name)
    kubectl("apply", "-f", str(path))
    try:
        kubectl("wait", "--for=condition=Ready", f"modeldeployment/{name}", "--timeout=110s")
        address = kubectl("get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
        answer = traffic.first_answer(f"http://{address}", served)
        version = model["spec"].get("model", {}).get("version", "2")  # the server takes the highest it has
        assert answer.version == version
        assert answer.scores == pytest.approx(traffic.expected_scores(version), abs=1e-4)
    finally:
        kubectl("delete", "-f", str(path), "--cascade=foreground", "--timeout=110s")


def test_namespaced_runtime_is_taken(runtime: None, kubectl: Kubectl) -> None:
    """The model of namespaced-runtime.yaml is served by the runtime of its namespace, not the cluster's."""
    path = SAMPLES / "namespaced-runtime.yaml"
    kubectl("apply", "-f", str(path))
    try:
        kubectl("wait", "--for=condition=Ready", "modeldeployment/team-model", "--timeout=110s")
        (revision,) = kubectl.all("controllerrevisions", "modelward.dev/model=team-model")
        assert revision["data"]["runtime"]["kind"] == "ModelRuntime"
        assert revision["data"]["runtime"]["name"] == "team-onnx"
    finally:
        kubectl("delete", "-f", str(path), "--cascade=foreground", "--timeout=110s")


def test_autoscaler_owns_the_replicas(runtime: None, kubectl: Kubectl) -> None:
    """The sample with an autoscaler has a HorizontalPodAutoscaler on the Deployment of its revision."""
    path = SAMPLES / "autoscaling.yaml"
    kubectl("apply", "-f", str(path))
    try:
        kubectl("wait", "--for=condition=Ready", "modeldeployment/autoscaled", "--timeout=110s")
        (scaler,) = kubectl.all("horizontalpodautoscalers", "modelward.dev/model=autoscaled")
        (deployment,) = kubectl.all("deployments", "modelward.dev/model=autoscaled")
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (1, 4)
    finally:
        kubectl("delete", "-f", str(path), "--cascade=foreground", "--timeout=110s")


@pytest.mark.integrations
def test_bad_image_says_what_keeps_it(runtime: None, kubectl: Kubectl) -> None:
    """The mistake is reported in the message of Ready, then as DeadlineExceeded, and fixing the image ends it."""
    kubectl("apply", "-f", str(BAD_IMAGE))
    try:
        until(
            lambda: "image registry.invalid/no-such-server:1 cannot be pulled" in _ready(kubectl)["message"],
            "the message of Ready names the image",
            seconds=PATIENCE_SECONDS,
        )
        assert _ready(kubectl)["status"] == "False"
        until(
            lambda: _ready(kubectl)["reason"] == "DeadlineExceeded",
            "the reason of Ready is DeadlineExceeded",
            seconds=PATIENCE_SECONDS,
        )
        kubectl.patch(
            "modeldeployment", "bad-image", {"spec": {"runtime": {"image": "modelward.local/model-server:1"}}}
        )
        kubectl("wait", "--for=condition=Ready", "modeldeployment/bad-image", "--timeout=110s")
    finally:
        kubectl("delete", "-f", str(BAD_IMAGE), "--cascade=foreground", "--timeout=110s")


def _ready(kubectl: Kubectl) -> dict[str, Any]:
    """The condition Ready; with empty words as long as there is none."""
    model = kubectl.get("modeldeployment", "bad-image") or {}
    conditions = model.get("status", {}).get("conditions", [])
    none = {"status": "", "reason": "", "message": ""}
    return next((each for each in conditions if each["type"] == "Ready"), none)
