"""The Helm chart, rendered offline by Helm's own library."""

import functools
import json
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from devcluster import Cluster

CHART: Final = Path(__file__).parents[2] / "manifests" / "chart"
RELEASE: Final = "modelward"
SYSTEM: Final = "modelward-system"
NOTES: Final = "modelward/templates/NOTES.txt"
LABELS: Final = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "helm.sh/chart",
}
"""On every object of a release."""

Manifest = dict[str, Any]


@functools.cache
def chart() -> helm_python.Chart:
    """The chart as it is in the repository."""
    return helm_python.Chart.load(CHART)


def rendered(values: Manifest | None = None, *, namespace: str = SYSTEM) -> list[Manifest]:
    """The objects of a release named `modelward`, file by file. Raises helm_python.HelmError."""
    return objects(_texts(json.dumps(values or {}), namespace))


def objects(texts: dict[str, str]) -> list[Manifest]:
    """What Helm rendered, as objects."""
    paths = (path for path in sorted(texts) if path != NOTES)
    return [each for path in paths for each in parsed(texts[path]) if each is not None]


def notes(values: Manifest | None = None) -> str:
    """What Helm prints when it is done."""
    return _texts(json.dumps(values or {}), SYSTEM)[NOTES]


@functools.cache
def _texts(values: str, namespace: str) -> dict[str, str]:
    return chart().render(json.loads(values), name=RELEASE, namespace=namespace)


@functools.cache
def parsed(text: str) -> list[Manifest]:
    """The documents of a text. They are shared: most releases have most of them in common, and CRDs take long."""
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def without_labels(manifest: Manifest) -> Manifest:
    """The object without those labels but the name, as manifests/base has it."""
    metadata = manifest["metadata"]
    kept = {
        key: each
        for key, each in metadata["labels"].items()
        if key not in LABELS or key == "app.kubernetes.io/name"
    }
    return manifest | {"metadata": metadata | {"labels": kept}}


def title(manifest: Manifest) -> str:
    """Kind, namespace and name."""
    metadata = manifest["metadata"]
    place = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind']} {place}{metadata['name']}"


def helm(cluster: Cluster, namespace: str) -> helm_python.Config:
    """Helm on one cluster, with releases in one namespace and the administrator's credentials."""
    return helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=namespace)
