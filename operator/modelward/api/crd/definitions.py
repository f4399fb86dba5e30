"""The three CustomResourceDefinitions, made from the types: `modelward crds`, `make generate`.

The files in crds/ are generated; a test fails when they differ from this.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from modelward.api.crd.schema import Schema, structural_schema
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.names import GROUP, VERSION
from modelward.api.objects import Manifest
from modelward.api.status import ModelDeploymentStatus

HEADER: Final = "# Generated from operator/modelward/api by `make generate`. Do not edit.\n"

_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_AVAILABLE: Final = '.status.conditions[?(@.type=="Available")]'


def _column(name: str, path: str, description: str, *, kind: str = "string", wide: bool = False) -> Manifest:
    """Return one column of `kubectl get`; wide ones are shown with `-o wide` only."""
    column = {"name": name, "type": kind, "description": description, "jsonPath": path}
    return column | {"priority": 1} if wide else column


_AGE: Final = _column("Age", ".metadata.creationTimestamp", "Time since creation.", kind="date")

DEPLOYMENT_COLUMNS: Final = (
    _column("Available", f"{_AVAILABLE}.status", "Whether some revision serves."),
    _column("Status", f"{_READY}.reason", "Where things stand, in one word."),
    _column("Stable", ".status.stableRevision", "The revision that serves."),
    _column("Canary", ".status.canaryRevision", "The revision that is tried."),
    _column("Weight", ".status.rollout.actualWeightPercent", "Percent of the canary.", kind="integer"),
    _AGE,
    _column("Ready", ".status.readyReplicas", "Number of ready pods.", kind="integer", wide=True),
    _column("Replicas", ".status.replicas", "Number of pods.", kind="integer", wide=True),
    _column("Step", ".status.rollout.step", "Present step, from 0.", kind="integer", wide=True),
    _column("URL", ".status.url", "Address of the model.", wide=True),
    _column("Model", ".status.modelUri", "Resolved address of the model that stable serves.", wide=True),
    _column("Message", f"{_READY}.message", "Where things stand, in one sentence.", wide=True),
)
RUNTIME_COLUMNS: Final = (
    _column("Protocol", ".spec.protocol", "Protocol of the server."),
    _column("Image", ".spec.container.image", "Image of the server."),
    _AGE,
)


def crd_manifests() -> list[Manifest]:
    """Return the three CRDs, ready to apply."""
    return [
        _crd(_names("ModelDeployment", short="mwd"), "Namespaced", _deployment_version()),
        _crd(_names("ModelRuntime"), "Namespaced", _runtime_version("ModelRuntime")),
        _crd(_names("ClusterModelRuntime"), "Cluster", _runtime_version("ClusterModelRuntime")),
    ]


def file_name(crd: Manifest) -> str:
    """Return the name of the CRD's file, as controller-gen would name it."""
    return f"{GROUP}_{crd['spec']['names']['plural']}.yaml"


def as_yaml(manifest: Manifest) -> str:
    """Return one YAML document in the order of the manifest, without anchors."""
    return yaml.dump(manifest, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)


def dump(folder: Path) -> list[Path]:
    """Write one file per CRD into `folder` and return their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for crd in crd_manifests():
        path = folder / file_name(crd)
        path.write_text(HEADER + as_yaml(crd), encoding="utf-8")
        written.append(path)
    return written


class _PlainDumper(yaml.SafeDumper):
    """A dumper that repeats what is shared: a CRD with anchors is hard to read and to diff."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _names(kind: str, short: str | None = None) -> Manifest:
    singular = kind.lower()
    names = {"kind": kind, "listKind": f"{kind}List", "plural": f"{singular}s", "singular": singular}
    return names | {"categories": ["modelward"]} | ({"shortNames": [short]} if short else {})


def _crd(names: Manifest, scope: str, version: Manifest) -> Manifest:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{names['plural']}.{GROUP}",
            "labels": {"app.kubernetes.io/part-of": "modelward"},
        },
        "spec": {"group": GROUP, "names": names, "scope": scope, "versions": [version]},
    }


_UNSEEN: Final = {"default": {"observedGeneration": 0}}
"""The status of an object that no operator has seen, so that kstatus does not take it for Current.

It is a default of status itself: one of the field alone is never applied, because there is no status to put it in.
"""


def _deployment_version() -> Manifest:
    description = "A model that is served, and how a change of it goes out."
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": list(DEPLOYMENT_COLUMNS),
        "selectableFields": [{"jsonPath": ".spec.model.format"}, {"jsonPath": ".status.stableRevision"}],
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "schema": {
            "openAPIV3Schema": _root(
                description,
                spec=structural_schema(ModelDeploymentSpec, nullable=True),
                status=structural_schema(ModelDeploymentStatus, nullable=False) | _UNSEEN,
            )
        },
    }


_RUNTIME_SCOPE: Final = {
    "ModelRuntime": "A model server for models of its namespace.",
    "ClusterModelRuntime": "A model server for models of every namespace that has no ModelRuntime for them.",
}


def _runtime_version(kind: str) -> Manifest:
    spec = structural_schema(ModelRuntimeSpec, nullable=True)
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": list(RUNTIME_COLUMNS),
        "schema": {"openAPIV3Schema": _root(_RUNTIME_SCOPE[kind], spec=spec)},
    }


def _root(description: str, **parts: Schema) -> Schema:
    """Return the schema of a whole object. Of metadata the API server knows more than a CRD may say."""
    word = {"type": "string", "maxLength": 253}
    return {
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": word | {"description": f"Version of the schema: {GROUP}/{VERSION}."},
            "kind": word | {"description": "Kind of the object."},
            "metadata": {"type": "object"},
            **parts,
        },
        "required": ["spec"],
    }
