"""The pod of a model that is fetched: who sees the credentials, where the model is, what may go wrong in a template."""

from typing import Any

import pytest

from builders.observed import make_model, revision_name
from modelward.api.model_runtime import ModelRuntimeSpec, RuntimeContainer
from modelward.rollout.snapshot_validation import flaw
from modelward.runtimes.fetching import FetchPolicy, has_fetch_container
from modelward.runtimes.references import references
from modelward.runtimes.render import Subject, render_template
from modelward.runtimes.restricted import violation

POLICY = FetchPolicy(
    image="registry.example.com/modelward-fetch@sha256:1",
    max_bytes=1000,
    resources={"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}},
)
RUNTIME = ModelRuntimeSpec(container=RuntimeContainer(image="registry.example.com/onnx:1"))


def _template(model: dict[str, Any], runtime: ModelRuntimeSpec = RUNTIME, **spec: Any) -> dict[str, Any]:
    made = make_model(model=model, **spec)
    return render_template(Subject(model="fraud", revision="bcdfghjklm", spec=made.spec), runtime, POLICY)


def _fetcher(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = template["spec"]["initContainers"]
    return dict(found)


def _server(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = template["spec"]["containers"]
    return dict(found)


def _variables(template: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in _fetcher(template)["env"]}


S3 = {"uri": "s3://models/fraud/7"}


def test_without_a_uri_the_template_is_as_it_was() -> None:
    """Pods whose image carries the model are not touched by any of this."""
    template = _template({"version": "1"})
    assert "initContainers" not in template["spec"]
    assert [each["name"] for each in template["spec"]["volumes"]] == ["tmp"]
    assert not has_fetch_container(template)


def test_the_server_sees_the_finished_folder_read_only() -> None:
    """Below the volume: a mount point could not appear whole."""
    template = _template(S3)
    mount = _server(template)["volumeMounts"][-1]
    assert mount == {"name": "model", "mountPath": "/mnt/models", "subPath": "model", "readOnly": True}
    assert _variables(template)["MODELWARD_FETCH_DIR"] == "/mnt/volume/model"
    assert has_fetch_container(template)


def test_the_runtime_says_where_the_model_is() -> None:
    """MODEL_PATH and the mount are the same."""
    template = _template(S3, ModelRuntimeSpec(container=RUNTIME.container, model_path="/models"))
    variables = {each["name"]: each.get("value") for each in _server(template)["env"]}
    assert variables["MODEL_PATH"] == "/models" == _server(template)["volumeMounts"][-1]["mountPath"]


def test_credentials_are_seen_by_the_fetch_container_alone() -> None:
    """Not by the server; and a Secret that is missing is for the program to report."""
    template = _template(S3 | {"secretRef": {"name": "reader"}})
    (volume,) = [each for each in template["spec"]["volumes"] if "secret" in each]
    assert volume["secret"] == {"secretName": "reader", "optional": True, "defaultMode": 0o440}
    assert volume["name"] in {each["name"] for each in _fetcher(template)["volumeMounts"]}
    assert volume["name"] not in {each["name"] for each in _server(template)["volumeMounts"]}
    assert _variables(template)["MODELWARD_FETCH_CREDENTIALS"] == "/mnt/credentials"


def test_a_service_account_without_a_secret_is_the_workloads_identity() -> None:
    """And EKS gives its token to the fetch container alone; the user's own annotation wins."""
    template = _template(S3, serviceAccountName="reader")
    assert _variables(template)["MODELWARD_FETCH_IDENTITY"] == "workload"
    assert template["metadata"]["annotations"] == {"eks.amazonaws.com/skip-containers": "model-server"}
    assert _variables(_template(S3))["MODELWARD_FETCH_IDENTITY"] == "none"
    with_secret = _template(S3 | {"secretRef": {"name": "reader"}}, serviceAccountName="reader")
    assert _variables(with_secret)["MODELWARD_FETCH_IDENTITY"] == "none"
    own = {"eks.amazonaws.com/skip-containers": ""}
    assert _template(S3, serviceAccountName="r", podAnnotations=own)["metadata"]["annotations"] == own


@pytest.mark.parametrize(
    ("uri", "claim", "mount"),
    [
        ("pvc://store/fraud/7", "store", {"subPath": "fraud/7"}),
        ("pvc://store/a%20b/", "store", {"subPath": "a b"}),
        ("pvc://store", "store", {}),
    ],
)
def test_a_claim_is_mounted_and_not_copied(uri: str, claim: str, mount: dict[str, str]) -> None:
    """Read-only for both containers."""
    template = _template({"uri": uri})
    (volume,) = [each for each in template["spec"]["volumes"] if each["name"] == "model"]
    assert volume["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}
    expected = {"name": "model", "mountPath": "/mnt/models", "readOnly": True, **mount}
    assert _server(template)["volumeMounts"][-1] == expected
    assert {"name": "model", "mountPath": "/mnt/volume", "readOnly": True} in _fetcher(template)[
        "volumeMounts"
    ]
    assert _variables(template)["MODELWARD_FETCH_CLAIM"] == "/mnt/volume"


def test_the_pin_is_a_volume_that_may_be_missing() -> None:
    """The first pod has none."""
    template = _template(S3)
    pin = {"name": "model-pin", "configMap": {"name": "fraud-bcdfghjklm", "optional": True}}
    assert pin in template["spec"]["volumes"]


def test_kubernetes_expands_nothing_in_an_address() -> None:
    """`$(NAME)` in a path is part of the path."""
    assert (
        _variables(_template({"uri": "s3://models/$(HOME)"}))["MODELWARD_FETCH_URI"] == "s3://models/$$(HOME)"
    )


def test_the_server_is_not_reported_a_signature() -> None:
    """The query of a signed address is for the fetch container alone."""
    template = _template({"uri": "https://example.com/m.onnx?sig=planted"})
    assert _variables(template)["MODELWARD_FETCH_URI"].endswith("?sig=planted")
    assert "planted" not in str(_server(template))


def test_the_program_gives_up_before_the_rollout_does() -> None:
    """So that the condition has its reason, and not that of the deadline; a minute it has in any case."""
    rollout = {"strategy": "Direct", "progressDeadlineSeconds": 1000}
    assert _variables(_template(S3, rollout=rollout))["MODELWARD_FETCH_TIMEOUT_SECONDS"] == "900"
    rollout = {"strategy": "Direct", "progressDeadlineSeconds": 30}
    assert _variables(_template(S3, rollout=rollout))["MODELWARD_FETCH_TIMEOUT_SECONDS"] == "60"


@pytest.mark.parametrize("uri", ["s3://models/x", "pvc://claim/x", "hf://org/model@main"])
def test_what_is_rendered_is_restricted_and_names_only_what_spec_names(uri: str) -> None:
    """A snapshot of it is taken for ours, after a restart as before it."""
    model = {"uri": uri, "secretRef": {"name": "reader"}}
    template = _template(model, serviceAccountName="reader")
    assert violation(template) == ""
    assert references(template) <= references(make_model(model=model, serviceAccountName="reader").fields)


def test_a_snapshot_that_gives_another_secret_is_none_of_ours() -> None:
    """Whoever may write ControllerRevisions must not have a Secret mounted that the model does not name."""
    from dataclasses import replace  # noqa: PLC0415

    from builders.observed import make_revision  # noqa: PLC0415 - of this test alone

    model = {"uri": "s3://models/x", "secretRef": {"name": "reader"}}
    revision = replace(
        make_revision(model=model), template=_template(model | {"secretRef": {"name": "other"}})
    )
    assert revision.name == revision_name(model=model)
    assert flaw(revision) == "its pods would be given what its spec does not name: Secret other"
