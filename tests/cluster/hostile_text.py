"""What a hostile tenant writes into a model, and the sentence with which the API server refuses it."""

from dataclasses import dataclass
from typing import Any

from support.models import FAKE_IMAGE

Raw = dict[str, Any]

METADATA = "169.254.169.254"
"""Where clouds give machines their credentials."""


@dataclass(frozen=True, kw_only=True)
class Words:
    """Fields of a spec, and what is said to them."""

    about: str
    spec: Raw
    said: str


def _server(about: str, said: str, **runtime: Any) -> Words:
    return Words(about=about, spec={"runtime": {"image": FAKE_IMAGE, **runtime}}, said=said)


def _unknown(about: str, field: str, spec: Raw) -> Words:
    return Words(about=about, spec=spec, said=f'unknown field "spec.{field}"')


def _reference(about: str, field: str, spec: Raw) -> Words:
    return _unknown(f"{about} of another namespace", f"{field}.namespace", spec)


def _variable(source: Raw) -> Raw:
    return {"runtime": {"image": FAKE_IMAGE, "env": [{"name": "A", "valueFrom": source}]}}


def _signal(selector: str) -> Raw:
    return {"analysis": {"metrics": [{"name": "m", "kind": "Ratio", "hits": selector, "total": "x"}]}}


_ELSEWHERE = {"name": "x", "namespace": "kube-system"}
_KEY = {**_ELSEWHERE, "key": "k"}
_SERVER = {"image": FAKE_IMAGE}

NO_FIELD = (
    _unknown("a pod template", "template", {"template": {"spec": {"hostNetwork": True}}}),
    _unknown("the node's network", "hostNetwork", {"hostNetwork": True}),
    _unknown("the node's processes", "hostPID", {"hostPID": True}),
    _unknown("a path of the node", "volumes", {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}),
    _unknown("an init container", "initContainers", {"initContainers": [{"name": "x", "image": "x"}]}),
    _unknown("a sidecar", "containers", {"containers": [{"name": "x", "image": "x"}]}),
    _unknown("a pod's security context", "securityContext", {"securityContext": {"runAsUser": 0}}),
    _unknown(
        "a privileged container",
        "runtime.securityContext",
        {"runtime": {**_SERVER, "securityContext": {"privileged": True, "capabilities": {"add": ["ALL"]}}}},
    ),
    _unknown("a mount", "runtime.volumeMounts", {"runtime": {**_SERVER, "volumeMounts": []}}),
    _unknown("a hook", "runtime.lifecycle", {"runtime": {**_SERVER, "lifecycle": {}}}),
    _unknown("a node by name", "scheduling.nodeName", {"scheduling": {"nodeName": "x"}}),
    _unknown(
        "the token of its account", "automountServiceAccountToken", {"automountServiceAccountToken": True}
    ),
    _unknown(
        "a probe of another host",
        "runtime.readiness.host",
        {"runtime": {**_SERVER, "readiness": {"path": "/", "host": METADATA}}},
    ),
    _unknown(
        "a header of a probe",
        "runtime.readiness.httpHeaders",
        {"runtime": {**_SERVER, "readiness": {"path": "/", "httpHeaders": [{"name": "Host", "value": "x"}]}}},
    ),
    _unknown(
        "a header of the metrics page",
        "runtime.metrics.headers",
        {"runtime": {**_SERVER, "metrics": {"headers": {"Authorization": "x"}}}},
    ),
    _unknown("an address of a metric source", "analysis.url", {"analysis": {"url": f"http://{METADATA}/"}}),
    _unknown("a query", "analysis.query", {"analysis": {"query": "up"}}),
    _unknown(
        "a Service as the parent of a route",
        "traffic.gateway.parentRefs[0].kind",
        {"traffic": {"gateway": {"parentRefs": [{"name": "x", "kind": "Service"}]}}},
    ),
    _reference("a Secret", "runtime.env[0].valueFrom.secretKeyRef", _variable({"secretKeyRef": _KEY})),
    _reference(
        "a ConfigMap", "runtime.env[0].valueFrom.configMapKeyRef", _variable({"configMapKeyRef": _KEY})
    ),
    _reference("a Secret for pulling", "imagePullSecrets[0]", {"imagePullSecrets": [_ELSEWHERE]}),
    _reference("credentials", "model.secretRef", {"model": {"uri": "s3://m/f", "secretRef": _ELSEWHERE}}),
    _reference("a runtime", "runtime", {"runtime": _ELSEWHERE}),
    _reference("a route", "traffic.httpRouteRef", {"traffic": {"httpRouteRef": _ELSEWHERE}}),
)

_PATH = "must be a path that begins with / and has no spaces; percent-encode what is not ASCII"
_SELECTOR = "must be the name of a metric, with label matchers in braces where needed"
_SCHEMES = "must begin with one of s3://, gs://, az://, https://, hf://, pvc://, oci://, mlflow://"
_LABELS = "must not have keys that the operator or Kubernetes sets"
_SEGMENT = "must not have .. as a segment of the path"
_PASSWORD = "must not carry a user name or password; give credentials by secretRef"

REFUSED = (
    *(
        Words(about=f"a label of the operator's ({key})", spec={"podLabels": {key: "x"}}, said=_LABELS)
        for key in (
            "modelward.dev/revision",
            "modelward.dev/model",
            "app.kubernetes.io/managed-by",
            "pod-template-hash",
        )
    ),
    Words(
        about="an annotation of the operator's",
        spec={"podAnnotations": {"modelward.dev/decision": "9"}},
        said="must not have keys that begin with modelward.dev/",
    ),
    Words(
        about="an annotation that takes off AppArmor",
        spec={
            "podAnnotations": {"container.apparmor.security.beta.kubernetes.io/model-server": "unconfined"}
        },
        said="must not have keys that set a security profile (AppArmor, seccomp): pods are restricted",
    ),
    Words(
        about="a label value that ends a selector", spec={"podLabels": {"a": "b,c=d"}}, said="should match"
    ),
    Words(about="a flag as the model's name", spec={"model": {"name": "--trust-remote-code"}}, said="match"),
    Words(about="a path as the model's name", spec={"model": {"name": "../../etc/passwd"}}, said="match"),
    Words(about="a variable as the model's name", spec={"model": {"name": "$(HOME)"}}, said="match"),
    Words(
        about="a second line in a version",
        spec={"model": {"version": "1\n2026-11-22 INFO all is well"}},
        said="must be one line without control characters",
    ),
    Words(
        about="NUL in a version", spec={"model": {"version": "1\0"}}, said="must be one line without control"
    ),
    Words(about="a file as the model", spec={"model": {"uri": "file:///etc/passwd"}}, said=_SCHEMES),
    Words(about="plain HTTP to a neighbour", spec={"model": {"uri": f"http://{METADATA}/"}}, said=_SCHEMES),
    Words(about="a password in an address", spec={"model": {"uri": "s3://u:p@models/f"}}, said=_PASSWORD),
    Words(about="a password for Hugging Face", spec={"model": {"uri": "hf://u:p@o/m"}}, said=_PASSWORD),
    *(
        Words(
            about=f"a way out of a folder ({path})", spec={"model": {"uri": f"s3://m{path}"}}, said=_SEGMENT
        )
        for path in ("/../x", "/..", "/%2e%2e/x", "/.%2E?x", "/a\\..\\x", "%2f..%2fx")
    ),
    Words(
        about="a line break in an address",
        spec={"model": {"uri": "s3://m/f\r\nHost: x"}},
        said="must have no spaces or control characters",
    ),
    Words(
        about="an address as the source", spec={"analysis": {"source": f"http://{METADATA}"}}, said="match"
    ),
    Words(
        about="another account's full name", spec={"serviceAccountName": "kube-system:default"}, said="match"
    ),
    Words(about="a path as an account", spec={"serviceAccountName": "kube-system/default"}, said="match"),
    Words(about="a function as a selector", spec=_signal("sum(up)"), said=_SELECTOR),
    Words(about="a comment after a selector", spec=_signal("up # x"), said=_SELECTOR),
    Words(about="a second line in a selector", spec=_signal('up{a="b"}\nor down'), said=_SELECTOR),
    Words(about="too many pods", spec={"replicas": 1_000_000}, said="less than or equal to 10000"),
    _server("a runtime elsewhere", "should match", name="../kube-system/x"),
    _server("a flag in the image", "must be the reference of an image", image="x --privileged"),
    _server("a probe by address", _PATH, readiness={"path": f"http://{METADATA}/"}),
    _server("a header in the path of a probe", _PATH, readiness={"path": "/\r\nHost: x"}),
    _server("a header in the path of metrics", _PATH, metrics={"path": "/m\nHost: x", "port": 1}),
    _server(
        "the operator's own variable",
        "must not be one of the variables that the operator sets",
        env=[{"name": "MODEL_NAME", "value": "x"}],
    ),
    _server("two variables in one name", "should match", env=[{"name": "A=B", "value": "x"}]),
)
