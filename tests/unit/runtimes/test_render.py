"""The pod template, field by field."""

from typing import Any

import pytest
from hypothesis import given

from builders import NAME, make_model, runtime_manifest
from modelward.api.decode import decode_runtime, decode_spec
from modelward.api.model_deployment import ModelDeploymentSpec
from modelward.api.model_runtime import ModelRuntimeSpec
from modelward.api.pod import RESERVED_ENV, Ports
from modelward.runtimes.render import Subject, merged_ports, render_template
from modelward.runtimes.restricted import violation
from unit.api.strategies import objects

Raw = dict[str, Any]


def template(container: Raw | None = None, runtime: Raw | None = None, **spec: Any) -> Raw:
    """The template of a model with this spec on a runtime with this container."""
    raw = runtime_manifest(**(container or {}))["spec"] | (runtime or {})
    words = {"runtime": {"name": "onnx"}, **spec}
    subject = Subject(model=NAME, revision="r" * 10, spec=make_model("7", **words).spec)
    return render_template(subject, decode_runtime(raw))


def server(**words: Any) -> Raw:
    """Its one container."""
    (only,) = template(**words)["spec"]["containers"]
    return dict(only)


def environment(**words: Any) -> dict[str, Any]:
    """Its variables, in order."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in server(**words)["env"]}


def test_pods_fit_pod_security_restricted() -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, every control of `restricted`."""
    pod = template()["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
    assert all("hostPort" not in port for port in container["ports"])
    assert all(set(volume) <= {"name", "emptyDir"} for volume in pod["volumes"])


@pytest.mark.parametrize(
    ("runtime", "mounted"),
    [
        pytest.param({}, False, id="no token unless the runtime asks for it"),
        pytest.param({"automountServiceAccountToken": True}, True, id="one that asks gets it"),
    ],
)
def test_token(runtime: Raw, mounted: bool) -> None:  # noqa: FBT001 - a parametrized case
    """A model server has no business with the API server."""
    assert template(runtime=runtime)["spec"]["automountServiceAccountToken"] is mounted


def test_our_variables_come_first_and_cannot_be_taken() -> None:
    """Later ones may refer to them as $(MODEL_NAME); even a spec that slipped past the CRD changes none."""
    env = environment(
        container={"env": [{"name": "A", "value": "runtime"}, {"name": "MODEL_NAME", "value": "evil"}]}
    )
    assert list(env)[:5] == ["MODEL_NAME", "MODEL_PATH", "MODEL_VERSION", "MODEL_URI", "MODEL_REVISION"]
    assert set(RESERVED_ENV) == set(list(env)[:5])
    assert (env["MODEL_NAME"], env["MODEL_VERSION"], env["MODEL_REVISION"]) == (NAME, "7", "r" * 10)


def test_the_users_variables_win_over_the_runtimes() -> None:
    """In the runtime's place, so that what refers to them still stands behind."""
    env = environment_of_both()
    assert [name for name in env if name in "ABC"] == ["A", "B", "C"]
    assert (env["A"], env["C"]) == ("mine", {"secretKeyRef": {"name": "s", "key": "k"}})


def environment_of_both() -> dict[str, Any]:
    """A runtime with A and B, a user with A and C."""
    raw = runtime_manifest(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}])["spec"]
    mine = [
        {"name": "A", "value": "mine"},
        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    spec = make_model("7", runtime={"name": "onnx", "env": mine}).spec
    rendered = render_template(Subject(model=NAME, revision="r" * 10, spec=spec), decode_runtime(raw))
    variables = rendered["spec"]["containers"][0]["env"]
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in variables}


def test_a_home_is_where_writing_is_allowed() -> None:
    """The root file system is read-only; a runtime may say another one."""
    assert environment()["HOME"] == "/tmp"  # noqa: S108 - a path in the pod
    assert environment(container={"env": [{"name": "HOME", "value": "/cache"}]})["HOME"] == "/cache"


@pytest.mark.parametrize(
    ("base", "over", "ports"),
    [
        pytest.param(Ports(), None, {"http": 8080}, id="http is always there"),
        pytest.param(
            Ports(http=80, grpc=81, metrics=82), None, {"http": 80, "grpc": 81, "metrics": 82}, id="all"
        ),
        pytest.param(Ports(http=80, grpc=81), Ports(http=90), {"http": 90, "grpc": 81}, id="merged by name"),
        pytest.param(Ports(http=80, metrics=80), None, {"http": 80}, id="a number is taken once"),
        pytest.param(Ports(grpc=81), None, {"http": 8080, "grpc": 81}, id="http beside another"),
    ],
)
def test_ports(base: Ports, over: Ports | None, ports: dict[str, int]) -> None:
    """The user's over the runtime's, each port by its name."""
    assert merged_ports(base, over) == ports


def test_ready_means_the_model_is_loaded() -> None:
    """The default probe asks for the model by the name it is served under."""
    container = server(model={"name": "team/fraud"})
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/models/team/fraud/ready", "port": "http"}
    assert container["startupProbe"]["httpGet"] == container["readinessProbe"]["httpGet"]
    assert "livenessProbe" not in container


def test_startup_time_is_what_the_runtime_gives() -> None:
    """One probe a second, for as long as the model may load."""
    probe = server(container={"startupSeconds": 900})["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 900


def test_probes_may_name_a_port_or_a_number() -> None:
    """A name that is no port of this pod becomes http; one that shares its number goes by the first name."""
    words = {"ports": {"http": 80, "grpc": 81}, "readiness": {"port": "metrics", "path": "/r"}}
    assert server(container=words)["readinessProbe"]["httpGet"] == {"path": "/r", "port": "http"}
    shared = words | {"ports": {"http": 80, "grpc": 81, "metrics": 81}}
    assert server(container=shared)["readinessProbe"]["httpGet"] == {"path": "/r", "port": "grpc"}
    numbered = {"liveness": {"port": 9000, "path": "/l"}}
    assert server(container=numbered)["livenessProbe"]["httpGet"] == {"path": "/l", "port": 9000}


@pytest.mark.parametrize(
    ("own", "runtimes", "expected"),
    [
        pytest.param(None, None, {"requests": {"cpu": "100m", "memory": "256Mi"}}, id="a small default"),
        pytest.param(
            None,
            {"requests": {"cpu": "2"}},
            {"requests": {"cpu": "2", "memory": "256Mi"}},
            id="the runtime's",
        ),
        pytest.param(
            {"limits": {"memory": "1Gi"}},
            {"requests": {"cpu": "2"}},
            {"limits": {"memory": "1Gi"}, "requests": {"cpu": "100m"}},
            id="the user's as a whole; a limit is a request of the same size",
        ),
    ],
)
def test_resources(own: Raw | None, runtimes: Raw | None, expected: Raw) -> None:
    """Some request is always there: the scheduler and an autoscaler count with it."""
    words: Raw = {"container": {"resources": runtimes} if runtimes else {}}
    assert server(**words, resources=own)["resources"] == expected


def test_labels_of_the_user_never_win_over_ours() -> None:
    """The selector must find the pods of this revision and no others."""
    rendered = template(podLabels={"team": "risk"}, podAnnotations={"note": "x"})
    labels = rendered["metadata"]["labels"]
    assert labels["team"] == "risk"
    assert labels["modelward.dev/revision"] == "r" * 10
    assert rendered["metadata"]["annotations"] == {"note": "x"}


def test_placement_is_copied_as_core_v1_names_it() -> None:
    """A block from a Deployment can be pasted."""
    scheduling = {
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
    }
    pod = template(scheduling=scheduling, serviceAccountName="reader", imagePullSecrets=[{"name": "r"}])[
        "spec"
    ]
    assert scheduling.items() <= pod.items()
    assert pod["serviceAccountName"] == "reader"
    assert pod["imagePullSecrets"] == [{"name": "r"}]


def test_a_pod_goes_on_serving_while_it_is_taken_out() -> None:
    """The wait is part of the grace period."""
    pod = template(container={"drainSeconds": 20})["spec"]
    assert pod["terminationGracePeriodSeconds"] == 20
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5


def test_command_and_args_of_the_user_replace_the_runtimes() -> None:
    """As a whole: lists have no names to merge by."""
    raw = runtime_manifest(command=["a"], args=["b"])["spec"]
    spec = make_model("7", runtime={"name": "onnx", "args": ["c"], "image": "other:2"}).spec
    rendered = render_template(Subject(model=NAME, revision="r", spec=spec), decode_runtime(raw))
    (container,) = rendered["spec"]["containers"]
    assert (container["command"], container["args"], container["image"]) == (["a"], ["c"], "other:2")


def test_a_version_is_free_text() -> None:
    """Kubernetes expands nothing in it: what looks like a variable is a part of the version."""
    assert environment(model={"version": "5$ $(MODEL_NAME)"})["MODEL_VERSION"] == "5$$ $$(MODEL_NAME)"


def test_no_annotation_sets_a_security_profile() -> None:
    """The CRD refuses them; one that was there before it did is left out."""
    key = "container.apparmor.security.beta.kubernetes.io/model-server"
    assert "annotations" not in template(podAnnotations={key: "unconfined"})["metadata"]


@given(objects(ModelDeploymentSpec), objects(ModelRuntimeSpec))
def test_whatever_is_asked_for_is_restricted(spec: Raw, runtime: Raw) -> None:
    """No words of a model or a runtime make a pod that Pod Security `restricted` would refuse."""
    subject = Subject(model=NAME, revision="r" * 10, spec=decode_spec(spec))
    assert violation(render_template(subject, decode_runtime(runtime))) == ""
