"""Manifests of the models that are rolled out: the test server, which fails as it is set to."""

from typing import Any, Final

from bench.api import Manifest
from devcluster.gateway import Gateway
from devcluster.images import REFERENCES

SERVED: Final = "breast-cancer"
RUNTIME: Final = "bench"
REPLICAS: Final = 3
INTERVAL_SECONDS: Final = 5

Faults = dict[str, str]
"""Knobs of the test server by name."""


def runtime() -> Manifest:
    """The runtime of the benchmark's namespace. Its servers drain for longer than any request takes."""
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelRuntime",
        "metadata": {"name": RUNTIME},
        "spec": {
            "modelPath": f"/models/{SERVED}",
            "container": {
                "image": REFERENCES["model-server"],
                "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
                "ports": {"http": 8080, "metrics": 8082},
                "readiness": {"path": "/v2/models/$(MODEL_NAME)/ready"},
                "liveness": {"path": "/v2/health/live"},
                "startupSeconds": 60,
                "drainSeconds": 10,
            },
            "metrics": {"port": "metrics"},
            "signals": {
                "errors": {"hits": "model_request_errors_total", "total": "model_requests_total"},
                "latency": {"histogram": "model_request_duration_seconds"},
            },
        },
    }


def host(name: str) -> str:
    """Host name of the model's route."""
    return f"{name}.example.com"


def model(name: str, gateway: Gateway | None, rollout: dict[str, Any], interval: int) -> Manifest:
    """A ModelDeployment; without a gateway its Service alone shares out the connections."""
    spec: dict[str, Any] = {
        "model": {"name": SERVED, "version": "1"},
        "runtime": {"name": RUNTIME},
        "replicas": REPLICAS,
        "rollout": rollout,
        "analysis": {"intervalSeconds": interval},
    }
    if gateway:
        parent = {"name": gateway.name, "namespace": gateway.namespace}
        spec["traffic"] = {"gateway": {"parentRefs": [parent], "hostnames": [host(name)]}}
    return {
        "apiVersion": "modelward.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": spec,
    }


def version(number: int, faults: Faults) -> Manifest:
    """The change that makes a revision of its own, with these faults."""
    env = [{"name": f"FAULT_{knob.upper()}", "value": value} for knob, value in faults.items()]
    return {"spec": {"runtime": {"env": env}, "podAnnotations": {"example.com/run": str(number)}}}
