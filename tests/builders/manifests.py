"""Manifests as a user would apply them."""

from typing import Any, Final

Raw = dict[str, Any]

NAMESPACE: Final = "shop"
NAME: Final = "fraud"
UID: Final = "uid-of-fraud"
IMAGE: Final = "registry.example.com/shop/fraud:1"


def manifest(version: str = "1", /, name: str = NAME, **spec: Any) -> Raw:
    """A ModelDeployment that serves this version by an image of its own, with 2 pods; `spec` wins."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {
            "model": {"version": version},
            "runtime": {"image": IMAGE},
            "replicas": 2,
            "rollout": {"strategy": "Direct"},
            **spec,
        },
    }


def runtime_manifest(name: str = "onnx", kind: str = "ClusterModelRuntime", **container: Any) -> Raw:
    """A runtime that reads the format onnx; `container` wins."""
    metadata = {"name": name} | ({} if kind.startswith("Cluster") else {"namespace": NAMESPACE})
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": {
            "formats": [{"name": "onnx"}],
            "container": {"image": f"registry.example.com/{name}:1", "ports": {"http": 8080}, **container},
        },
    }
