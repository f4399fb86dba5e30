"""The pod template, of any spec on any runtime that the schema takes."""

from typing import Any

from fuzz import words
from fuzz.manifests import template_problems
from fuzz.source import Source
from fuzz.typed import typed
from modelward.api.decode import decode_runtime, decode_spec
from modelward.api.model_deployment import ModelDeploymentSpec, RuntimeOverrides
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.names import revision_labels
from modelward.api.pod import Ports
from modelward.api.revision import Revision
from modelward.runtimes.fetching import FetchPolicy
from modelward.runtimes.metric_endpoints import measured
from modelward.runtimes.render import Subject, render_template

REVISION = "bcdfghjklm"
FETCHED = FetchPolicy(image="registry.invalid/fetch:1")


def rendered(data: bytes) -> None:
    """A pod that Kubernetes takes, restricted, with our labels; its ports are those that were given."""
    source = Source(data)
    raw, raw_runtime = typed(source, ModelDeploymentSpec), typed(source, ModelRuntimeSpec)
    spec, runtime = decode_spec(raw), decode_runtime(raw_runtime)
    name = source.pick([word for word in words.WORDS if word in NAMES])
    template = render_template(Subject(model=name, revision=REVISION, spec=spec), runtime, FETCHED)
    assert not (wrong := list(template_problems(template))), wrong
    labels = template["metadata"]["labels"]
    assert revision_labels(name, REVISION).items() <= labels.items()
    assert labels.keys() <= revision_labels(name, REVISION).keys() | spec.pod_labels.keys()
    container = template["spec"]["containers"][0]
    ours = {each["name"]: each.get("value") for each in container["env"]}
    assert ours["MODEL_REVISION"] == REVISION
    assert ours["MODEL_NAME"] == ((spec.model and spec.model.name) or name)
    overrides = spec.runtime or RuntimeOverrides()
    given = _given(runtime.container.ports, overrides.ports)
    numbers = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert set(numbers.values()) == set(given.values())
    for wanted, probe in (
        (overrides.readiness or runtime.container.readiness, "readinessProbe"),
        (overrides.liveness or runtime.container.liveness, "livenessProbe"),
    ):
        if wanted:
            asked = container[probe]["httpGet"]["port"]
            meant = wanted.port if isinstance(wanted.port, int) else given.get(wanted.port, given["http"])
            assert numbers.get(asked, asked) == meant, (probe, wanted, numbers)
    check_page(raw, raw_runtime, template, given)


NAMES = frozenset({"a", "0", "a-b", "a.b", "fraud", "fraud-canary", "a" * 63, "a" * 64, "a" * 253})
"""Words that can name a model."""


def check_page(
    raw: dict[str, Any], raw_runtime: dict[str, Any], template: dict[str, Any], given: dict[str, int]
) -> None:
    """Metrics are read where the user, or else the runtime, says; by name it is the port of that name."""
    record = {"kind": "ModelRuntime", "name": "a", "spec": raw_runtime}
    revision = Revision(
        name=REVISION, number=1, content=REVISION, nonce=0, spec=raw, runtime=record, template=template
    )
    shown = measured(revision)
    said = (raw.get("runtime", {}).get("metrics"), raw_runtime.get("metrics"))
    endpoint = next((each for each in said if each is not None), None)
    if endpoint is None:
        assert shown.port is None
        return
    port = endpoint.get("port", "metrics")
    assert shown.port == (port if isinstance(port, int) else given.get(port, given["http"]))
    assert shown.path == endpoint.get("path", "/metrics")


def _given(base: Ports, over: Ports | None) -> dict[str, int]:
    """Port numbers by name: the user's, else the runtime's."""
    found = {name: getattr(over, name, None) or getattr(base, name) for name in ("http", "grpc", "metrics")}
    return {name: number for name, number in {**found, "http": found["http"] or 8080}.items() if number}
