"""`manifests/install.yaml`: the CRDs and manifests/base in one file, for `kubectl apply -f`.

What `kubectl kustomize` would print, made without it, because `make verify` needs no Kubernetes. Of a kustomization only
that is understood which the base uses; anything else is an error rather than left out. A test with kubectl compares.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from modelward.api.crd.definitions import as_yaml, crd_manifests

BASE: Final = Path(__file__).parents[2] / "manifests" / "base"
HEADER: Final = """\
# Modelward's CRDs and operator, for the whole cluster: `kubectl apply -f manifests/install.yaml`.
# Generated from crds/ and manifests/base by `make generate`. Do not edit.
"""
_UNDERSTOOD: Final = {"apiVersion", "kind", "namespace", "resources", "images"}
_CLUSTER_WIDE: Final = {"ClusterRole", "ClusterRoleBinding", "Namespace", "PriorityClass"}
_NAMESPACED: Final = {
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
}

Manifest = dict[str, Any]


def text() -> str:
    """The file."""
    return HEADER + "---\n".join(as_yaml(each) for each in [*crd_manifests(), *built(BASE)])


def built(folder: Path) -> list[Manifest]:
    """The objects of a kustomization, with its namespace and its images. Raises ValueError for what it cannot do."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := kustomization.keys() - _UNDERSTOOD:
        raise ValueError(f"{folder}: cannot build {', '.join(sorted(unknown))} without kustomize")
    images = {each["name"]: f"{each['newName']}:{each['newTag']}" for each in kustomization["images"]}
    manifests = [
        manifest
        for name in kustomization["resources"]
        for manifest in yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))
    ]
    for manifest in manifests:
        _place(manifest, kustomization["namespace"])
        _set_images(manifest, images)
    return manifests


def _place(manifest: Manifest, namespace: str) -> None:
    kind = manifest["kind"]
    if kind in _NAMESPACED:
        manifest["metadata"]["namespace"] = namespace
    elif kind not in _CLUSTER_WIDE:
        raise ValueError(f"{kind}: say in {Path(__file__).name} whether it has a namespace")


def _set_images(manifest: Manifest, images: dict[str, str]) -> None:
    if manifest["kind"] == "Deployment":
        for container in manifest["spec"]["template"]["spec"]["containers"]:
            container["image"] = images.get(container["image"], container["image"])
