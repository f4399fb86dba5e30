"""The objects that the demonstration makes: those of the repository's manifests, with a mark.

The mark travels with the creation of an object, so that `down` finds what a killed run has made. An object that
is there without the mark belongs to somebody: it is used as it is, never changed and never deleted.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from demo.images import Images
from demo.kubectl import Kubectl, Manifest
from devcluster.object_store import BUCKET, ObjectStore

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
STORED = SAMPLES / "storage.yaml"
BASE = ROOT / "manifests" / "base"
CRDS = ROOT / "crds"

NAMESPACE = "modelward-demo"
OPERATOR_NAMESPACE = "modelward-system"
MODEL = "breast-cancer"
MARK = "modelward.dev/made-by"
MARK_VALUE = "demo"
DIGEST_ANNOTATION = "modelward.dev/demo-image"


class Action(StrEnum):
    """What happens to an object."""

    CREATE = "create"
    UPDATE = "update"
    KEEP = "keep"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """An object, and what is to happen to it."""

    manifest: Manifest
    action: Action

    def __str__(self) -> str:
        """A line for people."""
        there = "  (is there already, and not the demonstration's)" if self.action is Action.KEEP else ""
        return f"{self.action:7} {title(self.manifest)}{there}"


def crds() -> list[Manifest]:
    """The CRDs."""
    return [_marked(each) for path in sorted(CRDS.glob("*.yaml")) for each in _documents(path.read_text())]


def operator(kubectl: Kubectl, images: Images, store: ObjectStore | None = None) -> list[Manifest]:
    """What `kubectl apply -k manifests/base` applies, with the image that this cluster can get, and settings for a store."""
    base = [_with_image(each, images) for each in _documents(kubectl("kustomize", str(BASE)))]
    if store is None:
        return [_marked(each) for each in base]
    settings = _settings(images, store)
    deployments = [each for each in base if each["kind"] == "Deployment"]
    others = [each for each in base if each["kind"] != "Deployment"]
    return [
        _marked(each)
        for each in (*others, settings, *(_with_settings(each, settings) for each in deployments))
    ]


def namespace() -> Manifest:
    """The namespace of the model, which holds its pods to Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return _marked(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    )


def runtime(images: Images, *, namespaced: bool) -> Manifest:
    """The sample runtime; in a cluster that is not ours as a ModelRuntime, which others do not see."""
    (sample,) = _documents((SAMPLES / "runtime.yaml").read_text())
    sample["spec"]["container"]["image"] = images.server
    if namespaced:
        sample["kind"] = "ModelRuntime"
        sample["metadata"]["namespace"] = NAMESPACE
    return _marked(sample)


HURRY = {
    "steps": [{"weightPercent": 25}, {"weightPercent": 50}],
    "stepMinSeconds": 8,
    "keepPreviousSeconds": 10,
}
"""Steps for a demonstration; without a word the first is 5 %, each takes two minutes, and the watch ten."""

METRICS = [
    {"name": "errors", "signal": "errors"},
    {"name": "latency", "signal": "latency"},
    # One and the same request has one score in each version: a difference that is no drift.
    {"name": "scores", "signal": "predictions", "dryRun": True},
]


def secret(store: ObjectStore) -> Manifest:
    """The sample's Secret with the keys of somebody who may read, and no more."""
    sample, _ = _documents(STORED.read_text())
    sample["metadata"]["namespace"] = NAMESPACE
    sample["stringData"] = store.reader_secret
    return _marked(sample)


def uri(version: str) -> str:
    """Where a version of the model lies."""
    return f"s3://{BUCKET}/{MODEL}/{version}"


def model(version: str, store: ObjectStore | None, *, error_rate: float = 0.0) -> Manifest:
    """The sample model in a version, fetched from the store if there is one; with `error_rate` that share of answers are errors."""
    *_, sample = _documents((STORED if store else SAMPLES / "model.yaml").read_text())
    sample["metadata"]["namespace"] = NAMESPACE
    spec = sample["spec"]
    spec["model"]["version"] = version
    if store:
        spec["model"]["uri"] = uri(version)
    spec["rollout"] = HURRY
    spec["analysis"] = {"intervalSeconds": 2, "metrics": METRICS}
    if error_rate:
        spec["runtime"] = {"env": [{"name": "FAULT_ERROR_RATE", "value": str(error_rate)}]}
    return _marked(sample)


def planned(kubectl: Kubectl, manifests: Iterable[Manifest]) -> list[Planned]:
    """What is to happen to each object in this cluster."""
    return [Planned(manifest=each, action=_action(live(kubectl, each))) for each in manifests]


def live(kubectl: Kubectl, manifest: Manifest) -> Manifest | None:
    """The object as it is in the cluster, if it is there."""
    return kubectl.get(
        kind(manifest), manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")
    )


def is_marked(manifest: Manifest) -> bool:
    """Whether the demonstration made the object."""
    return bool(manifest["metadata"].get("labels", {}).get(MARK) == MARK_VALUE)


def kind(manifest: Manifest) -> str:
    """Kind and group, as kubectl takes them."""
    group, slash, _version = str(manifest["apiVersion"]).partition("/")
    return f"{manifest['kind'].lower()}.{group}" if slash else str(manifest["kind"]).lower()


def title(manifest: Manifest) -> str:
    """Kind, namespace and name."""
    metadata = manifest["metadata"]
    where = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{manifest['kind']} {where}{metadata['name']}"


def _action(found: Manifest | None) -> Action:
    if found is None:
        return Action.CREATE
    return Action.UPDATE if is_marked(found) else Action.KEEP


def _documents(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each]


def _marked(manifest: Manifest) -> Manifest:
    marked = copy.deepcopy(manifest)
    marked["metadata"].setdefault("labels", {})[MARK] = MARK_VALUE
    return marked


def _with_image(manifest: Manifest, images: Images) -> Manifest:
    if manifest["kind"] != "Deployment":
        return manifest
    changed = copy.deepcopy(manifest)
    template = changed["spec"]["template"]
    (container,) = template["spec"]["containers"]
    container["image"] = images.operator
    if images.operator_digest:  # a new build under the same name is to be started
        annotations = template["metadata"].setdefault("annotations", {})
        annotations[DIGEST_ANNOTATION] = images.operator_digest
    return changed


def _settings(images: Images, store: ObjectStore) -> Manifest:
    """The operator's settings, as docs/install.md has them: which image fetches, and which host may be asked by plain http."""
    host = urlsplit(store.url).hostname
    settings = {"fetch": {"image": images.fetch, "plainHttpHosts": [host]}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "modelward-settings", "namespace": OPERATOR_NAMESPACE},
        "data": {"settings.yaml": yaml.safe_dump(settings)},
    }


def _with_settings(deployment: Manifest, settings: Manifest) -> Manifest:
    changed = copy.deepcopy(deployment)
    pod = changed["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    container["args"].append("--settings=/etc/modelward/settings.yaml")
    container["volumeMounts"].append({"name": "settings", "mountPath": "/etc/modelward", "readOnly": True})
    pod["volumes"].append({"name": "settings", "configMap": {"name": settings["metadata"]["name"]}})
    return changed
