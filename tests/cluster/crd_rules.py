"""One accepted and one refused object for each rule that crosses fields or words a pattern."""

from typing import Any, NamedTuple

Spec = dict[str, Any]

MODEL: Spec = {"format": "onnx", "uri": "s3://models/fraud/7"}
IMAGE: Spec = {"image": "registry.example.com/own:1"}


class RuleCase(NamedTuple):
    """`refused` gets `message` at `field` (below spec; "" is spec itself); `accepted` gets none."""

    sentence: str
    kind: str
    accepted: Spec
    refused: Spec
    field: str
    message: str


def _deployment(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    """Return a case whose specs are completed by a model."""
    base = {"model": MODEL}
    return RuleCase(sentence, "ModelDeployment", base | accepted, base | refused, field, message)


def _runtime(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    base = {"container": IMAGE}
    return RuleCase(sentence, "ModelRuntime", base | accepted, base | refused, field, message)


def _model(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    return _deployment(
        sentence, {"model": MODEL | accepted}, {"model": MODEL | refused}, f"model.{field}", message
    )


def _metric(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    specs = [{"analysis": {"metrics": [{"name": "m", **metric}]}} for metric in (accepted, refused)]
    path = f"analysis.metrics[0].{field}" if field else "analysis.metrics[0]"
    return _deployment(sentence, specs[0], specs[1], path, message)


def _rollout(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    return _deployment(sentence, {"rollout": accepted}, {"rollout": refused}, f"rollout.{field}", message)


def _env(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    specs = [{"runtime": {"env": [variable]}} for variable in (accepted, refused)]
    return _deployment(sentence, specs[0], specs[1], f"runtime.env[0]{field}", message)


def _toleration(sentence: str, accepted: Spec, refused: Spec, field: str, message: str) -> RuleCase:
    specs = [{"scheduling": {"tolerations": [toleration]}} for toleration in (accepted, refused)]
    return _deployment(sentence, specs[0], specs[1], f"scheduling.tolerations[0]{field}", message)


def steps(*weights: int) -> Spec:
    """Return a rollout with these weights."""
    return {"steps": [{"weightPercent": weight} for weight in weights]}


KEYS = "must have keys like example.com/name or name"
PATH = "must be a path that begins with / and has no spaces"
QUANTITY = "must be a quantity such as 2, 500m or 4Gi"
SELECTOR = "must be the name of a metric, with label matchers in braces where needed"
FITS = "must fit what is measured"
PORT_IS_THERE = "must be a number, or the name of a port that container.ports has"
COUNTERS: Spec = {"hits": 'feedback_total{kind="down"}', "total": "feedback_total"}

SPEC_CASES = [
    RuleCase(
        "something says what serves the model",
        "ModelDeployment",
        {"runtime": IMAGE},
        {"model": {"uri": "s3://models/fraud"}, "runtime": {"args": ["x"]}},
        "",
        "must say what serves the model: model.format, runtime.name or runtime.image",
    ),
    _deployment(
        "shared capacity has two replicas",
        {"replicas": 2, "rollout": {"capacity": "Shared"}},
        {"replicas": 1, "rollout": {"capacity": "Shared"}},
        "rollout.capacity",
        "must be Surge unless there are at least 2 replicas",
    ),
    _deployment(
        "shared capacity has two replicas at least while the autoscaler rules",
        {"autoscaling": {"minReplicas": 2, "maxReplicas": 4}, "rollout": {"capacity": "Shared"}},
        {"replicas": 9, "autoscaling": {"maxReplicas": 4}, "rollout": {"capacity": "Shared"}},
        "rollout.capacity",
        "must be Surge unless there are at least 2 replicas",
    ),
    _deployment(
        "each step has a reconcile",
        {"analysis": {"intervalSeconds": 60}, "rollout": {"stepMinSeconds": 60}},
        {"analysis": {"intervalSeconds": 61}, "rollout": {"stepMinSeconds": 60}},
        "analysis.intervalSeconds",
        "must not be longer than rollout.stepMinSeconds",
    ),
    _deployment(
        "the default step has a reconcile",
        {"analysis": {"intervalSeconds": 120}},
        {"analysis": {"intervalSeconds": 121}},
        "analysis.intervalSeconds",
        "must not be longer than rollout.stepMinSeconds",
    ),
    _deployment(
        "a server may take its time until the deadline",
        {"runtime": {"startupSeconds": 3600}, "rollout": {"progressDeadlineSeconds": 3600}},
        {"runtime": {"startupSeconds": 3600}, "rollout": {"progressDeadlineSeconds": 3599}},
        "rollout.progressDeadlineSeconds",
        "must be at least runtime.startupSeconds",
    ),
    _deployment(
        "a server may take its time until the default deadline",
        {"runtime": {"startupSeconds": 1800}},
        {"runtime": {"startupSeconds": 1801}},
        "rollout.progressDeadlineSeconds",
        "must be at least runtime.startupSeconds",
    ),
    _deployment(
        "the autoscaler's most is not below its fewest",
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 3}},
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "autoscaling.maxReplicas",
        "must be at least minReplicas",
    ),
    _deployment(
        "traffic goes one way",
        {"traffic": {"httpRouteRef": {"name": "shop"}}},
        {"traffic": {"httpRouteRef": {"name": "shop"}, "gateway": {"parentRefs": [{"name": "public"}]}}},
        "traffic",
        "must have exactly one of gateway and httpRouteRef",
    ),
    _deployment(
        "traffic goes some way",
        {"traffic": {"gateway": {"parentRefs": [{"name": "public", "namespace": "infra"}]}}},
        {"traffic": {}},
        "traffic",
        "must have exactly one of gateway and httpRouteRef",
    ),
    _deployment(
        "host names are host names",
        {"traffic": {"gateway": {"parentRefs": [{"name": "p"}], "hostnames": ["*.example.com"]}}},
        {"traffic": {"gateway": {"parentRefs": [{"name": "p"}], "hostnames": ["https://example.com"]}}},
        "traffic.gateway.hostnames[0]",
        "must be a host name in lower case",
    ),
    _deployment(
        "requests are not above limits",
        {"resources": {"requests": {"cpu": "500m", "memory": 1}, "limits": {"cpu": 1}}},
        {"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}},
        "resources.requests",
        "must not be above the limit of the same resource",
    ),
    _deployment(
        "quantities are quantities",
        {"resources": {"limits": {"nvidia.com/gpu": "1", "memory": "2Gi", "cpu": "0.5"}}},
        {"resources": {"limits": {"memory": "2 GB"}}},
        "resources.limits.memory",
        QUANTITY,
    ),
    _deployment(
        "resource names are qualified names",
        {"resources": {"requests": {"hugepages-2Mi": "4Mi"}}},
        {"resources": {"requests": {"g p u": 1}}},
        "resources.requests",
        KEYS,
    ),
    _deployment(
        "node labels are qualified names",
        {"scheduling": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}},
        {"scheduling": {"nodeSelector": {"/arch": "amd64"}}},
        "scheduling.nodeSelector",
        KEYS,
    ),
    _deployment(
        "pod labels are qualified names",
        {"podLabels": {"example.com/team": "fraud"}},
        {"podLabels": {"the team": "fraud"}},
        "podLabels",
        KEYS,
    ),
    *(
        _deployment(
            f"pod labels are not the operator's ({key})",
            {"podLabels": {"team": "fraud"}},
            {"podLabels": {key: "x"}},
            "podLabels",
            "must not have keys that the operator or Kubernetes sets: modelward.dev/..., app.kubernetes.io/...,"
            " pod-template-hash",
        )
        for key in ("modelward.dev/revision", "app.kubernetes.io/name", "pod-template-hash")
    ),
    _deployment(
        "pod annotations are not the operator's",
        {"podAnnotations": {"example.com/note": "any text, with spaces"}},
        {"podAnnotations": {"modelward.dev/decision": "7"}},
        "podAnnotations",
        "must not have keys that begin with modelward.dev/, which the operator sets",
    ),
    *(
        _deployment(
            f"pod annotations set no security profile ({prefix})",
            {"podAnnotations": {"apparmor.example.com/note": "unconfined"}},
            {"podAnnotations": {f"{prefix}.kubernetes.io/model-server": "unconfined"}},
            "podAnnotations",
            "must not have keys that set a security profile (AppArmor, seccomp): pods are restricted",
        )
        for prefix in (
            "container.apparmor.security.beta",
            "container.seccomp.security.alpha",
            "seccomp.security.alpha",
        )
    ),
    _deployment(
        "pod annotations are qualified names",
        {"podAnnotations": {"note": ""}},
        {"podAnnotations": {"-note": ""}},
        "podAnnotations",
        KEYS,
    ),
]

MODEL_CASES = [
    *(
        _model(
            f"a model may be at {uri}",
            {"uri": uri},
            {"uri": "ftp://models/fraud"},
            "uri",
            "must begin with one of s3://, gs://, az://, https://, hf://, pvc://, oci://, mlflow://",
        )
        for uri in (
            "s3://models/fraud",
            "gs://models/fraud",
            "az://account/models/fraud",
            "https://example.com/fraud.onnx?version=7",
            "hf://organisation/model@main",
            "hf://model@main",
            "pvc://claim/fraud",
            "oci://registry.example.com/fraud@sha256:0123",
            "mlflow://fraud/7",
        )
    ),
    _model(
        "a scheme alone is no address",
        {"uri": "pvc://claim"},
        {"uri": "pvc:///etc/passwd"},
        "uri",
        "must begin with one of s3://",
    ),
    _model(
        "an address carries no password",
        {"uri": "https://example.com/a@b"},
        {"uri": "https://user:secret@example.com/a"},
        "uri",
        "must not carry a user name or password; give credentials by secretRef",
    ),
    _model(
        "an address at Hugging Face carries no password",
        {"uri": "hf://model@refs/pr/1"},
        {"uri": "hf://user:secret@organisation/model"},
        "uri",
        "must not carry a user name or password; give credentials by secretRef",
    ),
    *(
        _model(
            f"an address stays below its root, however that is written ({end})",
            {"uri": "https://example.com/a/...?b=.."},
            {"uri": f"https://example.com/a{end}"},
            "uri",
            "must not have .. as a segment of the path",
        )
        for end in ("/..?x", "/..#x", "/%2e%2E/b", "/.%2e", "%2f..%2fb", "\\..\\b", "/..\\b")
    ),
    _model(
        "an address stays below its root",
        {"uri": "pvc://claim/a..b/c"},
        {"uri": "pvc://claim/../other"},
        "uri",
        "must not have .. as a segment of the path",
    ),
    _model(
        "an address does not end above its root",
        {"uri": "pvc://claim/a.."},
        {"uri": "pvc://claim/a/.."},
        "uri",
        "must not have .. as a segment of the path",
    ),
    _model(
        "an address is printable",
        {"uri": "s3://models/fraud%20detection"},
        {"uri": "s3://models/fraud detection"},
        "uri",
        "must have no spaces or control characters; percent-encode what is not ASCII",
    ),
    _model(
        "a checksum is hexadecimal",
        {"sha256": "0123456789abcdefABCDEF" + "0" * 42},
        {"sha256": "g" * 64},
        "sha256",
        "must be 64 hexadecimal digits",
    ),
    _model(
        "a version is one line",
        {"version": "20. November, für alle"},
        {"version": "two\nlines"},
        "version",
        "must be one line without control characters",
    ),
    RuleCase(
        "credentials go with an address",
        "ModelDeployment",
        {"model": MODEL | {"secretRef": {"name": "reader"}}},
        {"model": {"format": "onnx", "secretRef": {"name": "reader"}}},
        "model.secretRef",
        "must only be given with uri: it holds the credentials for fetching",
    ),
    RuleCase(
        "a checksum goes with an address",
        "ModelDeployment",
        {"model": MODEL | {"sha256": "0" * 64}},
        {"model": {"format": "onnx", "sha256": "0" * 64}},
        "model.sha256",
        "must only be given with uri: it checks what was fetched",
    ),
    RuleCase(
        "a version of the format goes with a format",
        "ModelDeployment",
        {"model": MODEL | {"formatVersion": "1"}},
        {"runtime": IMAGE, "model": {"formatVersion": "1"}},
        "model.formatVersion",
        "must only be given with format",
    ),
]

RUNTIME_OVERRIDE_CASES = [
    _deployment(
        "an image is a reference",
        {"runtime": {"image": "localhost:5000/team/server@sha256:0123"}},
        {"runtime": {"image": "my server:1"}},
        "runtime.image",
        "must be the reference of an image",
    ),
    *(
        _env(
            f"a variable is not the operator's ({name})",
            {"name": "MODEL_BASE_PATH", "value": "/mnt"},
            {"name": name, "value": "x"},
            ".name",
            "must not be one of the variables that the operator sets",
        )
        for name in ("MODEL_NAME", "MODEL_PATH", "MODEL_REVISION", "MODEL_URI", "MODEL_VERSION")
    ),
    _env(
        "a variable has a value or a source",
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
        {"name": "A", "value": "b", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
        "",
        "must have value or valueFrom, not both",
    ),
    _env(
        "a variable has one source",
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y", "optional": True}}},
        {"name": "A", "valueFrom": {}},
        ".valueFrom",
        "must have exactly one of secretKeyRef and configMapKeyRef",
    ),
    _deployment(
        "variables have different names",
        {"runtime": {"env": [{"name": "A"}, {"name": "B"}]}},
        {"runtime": {"env": [{"name": "A"}, {"name": "A"}]}},
        "runtime.env[1]",
        'Duplicate value: {"name":"A"}',
    ),
    _deployment(
        "gRPC and HTTP have ports of their own",
        {"runtime": {"ports": {"http": 8080, "grpc": 8081, "metrics": 8080}}},
        {"runtime": {"ports": {"http": 8080, "grpc": 8080}}},
        "runtime.ports.grpc",
        "must not be the same port as http",
    ),
    _deployment(
        "a probe's port is a number or a name",
        {"runtime": {"readiness": {"port": "grpc", "path": "/ready"}, "liveness": {"port": 80, "path": "/"}}},
        {"runtime": {"readiness": {"port": "https", "path": "/ready"}}},
        "runtime.readiness.port",
        "must be a port number or one of the names http, grpc and metrics",
    ),
    _deployment(
        "a probe's path is a path",
        {"runtime": {"readiness": {"path": "/v2/models/$(MODEL_NAME)/ready"}}},
        {"runtime": {"readiness": {"path": "ready"}}},
        "runtime.readiness.path",
        PATH,
    ),
    _deployment(
        "a signal's counter is a selector",
        {"runtime": {"signals": {"errors": {"hits": 'a:b_total{code=~"5..",path="/{id}"}', "total": "a"}}}},
        {"runtime": {"signals": {"errors": {"hits": "rate(a[5m])", "total": "a"}}}},
        "runtime.signals.errors.hits",
        SELECTOR,
    ),
    _deployment(
        "test_f07 a signal's counter may be a sum",
        {"runtime": {"signals": {"errors": {"hits": "b", "total": 'a{x="1"} + b + c_total{y=~"2|3"}'}}}},
        {"runtime": {"signals": {"errors": {"hits": "b", "total": "a + b - c"}}}},
        "runtime.signals.errors.total",
        SELECTOR,
    ),
    _toleration(
        "a toleration of existence has no value",
        {"key": "gpu", "operator": "Exists"},
        {"key": "gpu", "operator": "Exists", "value": "yes"},
        ".value",
        "must have no value with the operator Exists",
    ),
    _toleration(
        "a toleration names a key",
        {"operator": "Exists"},
        {"effect": "NoSchedule"},
        "",
        "must name a key, or use the operator Exists to accept every taint",
    ),
    _toleration(
        "a toleration ends only for NoExecute",
        {"key": "gpu", "effect": "NoExecute", "tolerationSeconds": 60},
        {"key": "gpu", "effect": "NoSchedule", "tolerationSeconds": 60},
        ".effect",
        "must have the effect NoExecute for tolerationSeconds to mean something",
    ),
]

ROLLOUT_CASES = [
    _rollout(
        "steps rise", steps(5, 25, 99), steps(25, 5), "steps", "must rise from step to step in weightPercent"
    ),
    _rollout(
        "steps differ", steps(5, 6), steps(5, 5), "steps", "must rise from step to step in weightPercent"
    ),
    *(
        _rollout(
            f"{strategy} has no steps",
            {"strategy": strategy, "steps": []},
            {"strategy": strategy, **steps(5)},
            "steps",
            "must be left out with the strategies BlueGreen and Direct, which have no steps",
        )
        for strategy in ("BlueGreen", "Direct")
    ),
    _rollout(
        "a canary has a step",
        {"strategy": "Canary", **steps(50)},
        {"steps": []},
        "steps",
        "must have at least one step with the strategy Canary; leave it out for 5, 25 and 50",
    ),
    _rollout(
        "a step's most is not below its least",
        {"stepMinSeconds": 60, "stepMaxSeconds": 60},
        {"stepMinSeconds": 61, "stepMaxSeconds": 60},
        "stepMaxSeconds",
        "must be at least stepMinSeconds",
    ),
    _rollout(
        "a step's least is not above the default most",
        {"stepMinSeconds": 600},
        {"stepMinSeconds": 601},
        "stepMaxSeconds",
        "must be at least stepMinSeconds",
    ),
    _rollout(
        "a step's most is not below the default least",
        {"stepMaxSeconds": 120},
        {"stepMaxSeconds": 119},
        "stepMaxSeconds",
        "must be at least stepMinSeconds",
    ),
]

ANALYSIS_CASES = [
    *(
        _deployment(
            f"{text} is no confidence",
            {"analysis": {"confidencePercent": "99.999"}},
            {"analysis": {"confidencePercent": text}},
            "analysis.confidencePercent",
            'must be a decimal from "50" to "99.999", such as "99"',
        )
        for text in ("49", "100", "0.99", "99,5", "99.9999")
    ),
    _metric(
        "a metric has something to measure",
        {"signal": "errors"},
        {"kind": "Ratio"},
        "",
        "must have exactly one of signal, hits with total, histogram, and gauge",
    ),
    _metric(
        "a metric measures one thing",
        {"kind": "Ratio", **COUNTERS},
        {"kind": "Ratio", "signal": "errors", **COUNTERS},
        "",
        "must have exactly one of signal, hits with total, histogram, and gauge",
    ),
    _metric(
        "hits go with a total",
        {"kind": "Ratio", "direction": "HigherIsBetter", **COUNTERS},
        {"kind": "Ratio", "hits": "feedback_total"},
        "",
        "must have hits and total together",
    ),
    _metric(
        "test_f07 the counters of a metric may be sums",
        {"kind": "Ratio", "hits": 'failed{code=~"5.."} + dropped', "total": "succeeded + failed + dropped"},
        {"kind": "Ratio", "hits": "failed + rate(dropped[5m])", "total": "succeeded"},
        "hits",
        SELECTOR,
    ),
    _metric(
        "selectors of one's own say their kind",
        {"kind": "Latency", "histogram": "seconds", "unit": "Milliseconds"},
        {"histogram": "seconds"},
        "kind",
        "must be given for selectors of your own",
    ),
    _metric(
        "a ratio has counters",
        {"kind": "Ratio", "signal": "errors"},
        {"kind": "Ratio", "histogram": "s"},
        "kind",
        FITS,
    ),
    _metric(
        "a latency has a histogram",
        {"kind": "Latency", "signal": "latency"},
        {"kind": "Latency", "signal": "errors"},
        "kind",
        FITS,
    ),
    _metric(
        "a distribution has a histogram",
        {"kind": "Distribution", "signal": "predictions", "action": "Hold"},
        {"kind": "Distribution", **COUNTERS},
        "kind",
        FITS,
    ),
    _metric(
        "a gauge has a gauge",
        {"kind": "Gauge", "gauge": "accuracy", "direction": "HigherIsBetter", "tolerancePercent": 5},
        {"kind": "Gauge", "histogram": "accuracy", "direction": "HigherIsBetter", "tolerancePercent": 5},
        "kind",
        FITS,
    ),
    _metric(
        "a guard has a limit",
        {"kind": "Guard", "signal": "errors", "limitPercent": "2"},
        {"kind": "Guard", "signal": "errors"},
        "limitPercent",
        "must be given with the kind Guard, and only with it",
    ),
    _metric(
        "only a guard has a limit",
        {"kind": "Guard", "limitPercent": "0.0001", **COUNTERS},
        {"signal": "errors", "limitPercent": "2"},
        "limitPercent",
        "must be given with the kind Guard, and only with it",
    ),
    _metric(
        "a limit is a percentage",
        {"kind": "Guard", "signal": "errors", "limitPercent": "100"},
        {"kind": "Guard", "signal": "errors", "limitPercent": "101"},
        "limitPercent",
        'must be a decimal from "0" to "100" with at most four places, such as "0.5"',
    ),
    _metric(
        "a gauge says which way is better, and by how much",
        {"kind": "Gauge", "gauge": "accuracy", "direction": "LowerIsBetter", "tolerancePercent": 0},
        {"kind": "Gauge", "gauge": "accuracy"},
        "",
        "must have direction and tolerancePercent with the kind Gauge",
    ),
    _metric(
        "only an own latency has a unit",
        {"kind": "Latency", "histogram": "microseconds", "unit": "Microseconds"},
        {"signal": "latency", "unit": "Seconds"},
        "unit",
        "must only be given with the kind Latency and a histogram of your own",
    ),
    _deployment(
        "metrics have different names",
        {"analysis": {"metrics": [{"name": "a", "signal": "errors"}, {"name": "b", "signal": "errors"}]}},
        {"analysis": {"metrics": [{"name": "a", "signal": "errors"}, {"name": "a", "signal": "latency"}]}},
        "analysis.metrics[1]",
        'Duplicate value: {"name":"a"}',
    ),
]

MODEL_RUNTIME_CASES = [
    *(
        _runtime(
            f"{path} is no folder for models",
            {"modelPath": "/mnt/models-v1.2"},
            {"modelPath": path},
            "modelPath",
            "must be an absolute path of letters, digits, '-', '_' and '.'",
        )
        for path in ("mnt", "/mnt/../etc", "/mnt/", "/mnt/a b")
    ),
    *(
        _runtime(
            f"the port of {probe} is one of the container's",
            {"container": IMAGE | {"ports": {"http": 8080}, probe: {"port": "http", "path": "/"}}},
            {"container": IMAGE | {"ports": {"http": 8080}, probe: {"port": "grpc", "path": "/"}}},
            f"container.{probe}.port",
            PORT_IS_THERE,
        )
        for probe in ("readiness", "liveness")
    ),
    _runtime(
        "a probe asks the http port that is there by default",
        {"container": IMAGE | {"readiness": {"path": "/"}}},
        {"container": IMAGE | {"ports": {"grpc": 8081}, "readiness": {"path": "/"}}},
        "container.readiness.port",
        PORT_IS_THERE,
    ),
    _runtime(
        "the port of the metrics is one of the container's",
        {"container": IMAGE | {"ports": {"metrics": 8082}}, "metrics": {}},
        {"container": IMAGE, "metrics": {}},
        "metrics.port",
        PORT_IS_THERE,
    ),
    _runtime(
        "a port by number needs no name",
        {"container": IMAGE, "metrics": {"port": 8082}},
        {"container": IMAGE, "metrics": {"port": "metrics"}},
        "metrics.port",
        PORT_IS_THERE,
    ),
    _runtime(
        "formats differ in name or version",
        {"formats": [{"name": "onnx"}, {"name": "onnx", "version": "2"}]},
        {"formats": [{"name": "onnx"}, {"name": "onnx", "priority": 2}]},
        "formats[1]",
        'Duplicate value: {"name":"onnx","version":""}',
    ),
]

RULE_CASES = [
    *SPEC_CASES,
    *MODEL_CASES,
    *RUNTIME_OVERRIDE_CASES,
    *ROLLOUT_CASES,
    *ANALYSIS_CASES,
    *MODEL_RUNTIME_CASES,
]
