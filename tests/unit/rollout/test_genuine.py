"""A stored revision is used only if it can be one that we stored."""

import copy
import dataclasses
from typing import Any

import pytest

from builders import make_model, make_observed, make_revision, make_runtime
from modelward.api.fields import EXACT_INT_MAX
from modelward.api.revision import Revision, revision_hash
from modelward.rollout.snapshot import take_snapshot
from modelward.rollout.snapshot_validation import flaw, flaw_of_restored
from modelward.runtimes.restricted import violation

Raw = dict[str, Any]


def template(
    pod: Raw | None = None, container: Raw | None = None, annotations: dict[str, str] | None = None
) -> Raw:
    """A rendered template with other words in its pod and its container."""
    made: Raw = copy.deepcopy(dict(make_revision("1").template))
    made["spec"]["containers"][0] |= container or {}
    made["spec"] |= pod or {}
    made["metadata"]["annotations"] = annotations or {}
    return made


def context(**words: Any) -> Raw:
    """A container whose security context says something else."""
    base = make_revision("1").template["spec"]["containers"][0]["securityContext"]
    return {"securityContext": {**base, **words}}


def test_what_is_rendered_is_valid() -> None:
    """Also under another nonce, and with all that the resource lets one say."""
    assert flaw(make_revision("1")) == ""
    assert flaw(make_revision("1", nonce=7, serviceAccountName="scorer")) == ""
    assert flaw(make_revision("1", podLabels={"a": "b"}, imagePullSecrets=[{"name": "s"}])) == ""


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        pytest.param({"hostNetwork": True}, "hostNetwork", id="the node's network"),
        pytest.param({"hostPID": True}, "hostPID", id="the node's processes"),
        pytest.param({"hostIPC": True}, "hostIPC", id="the node's shared memory"),
        pytest.param(
            {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]},
            "a volume of type hostPath",
            id="a path of the node",
        ),
        pytest.param(
            {"volumes": [{"name": "x", "nfs": {}}]}, "a volume of type nfs", id="a volume that mounts"
        ),
        pytest.param({"securityContext": {"runAsUser": 0}}, "runAsUser 0", id="root"),
        pytest.param({"securityContext": {}}, "runAsNonRoot is not set", id="perhaps root"),
        pytest.param({"securityContext": {"runAsNonRoot": True}}, "no seccomp profile", id="any system call"),
        pytest.param(
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            "a sysctl that is not safe",
            id="a sysctl",
        ),
        pytest.param(
            {"securityContext": {"windowsOptions": {"hostProcess": True}}}, "hostProcess", id="of Windows"
        ),
        pytest.param(
            {"initContainers": [{"name": "i", "image": "x"}]},
            "allowPrivilegeEscalation",
            id="an init container without a security context",
        ),
        pytest.param(
            {"ephemeralContainers": [{"name": "e", "image": "x", "securityContext": {"privileged": True}}]},
            "privileged",
            id="an ephemeral container",
        ),
        pytest.param({"containers": []}, "no container", id="none at all"),
        pytest.param({"containers": [3]}, "it is no pod template", id="no objects"),
        pytest.param({"volumes": {"a": "b"}}, "it is no pod template", id="no list"),
    ],
)
def test_pods_that_are_not_restricted(pod: Raw, said: str) -> None:
    """Every control of Pod Security Standard `restricted` that a pod can break."""
    assert violation(template(pod)) == said


@pytest.mark.parametrize(
    ("container", "said"),
    [
        pytest.param(context(privileged=True), "privileged", id="privileged"),
        pytest.param(context(allowPrivilegeEscalation=None), "allowPrivilegeEscalation", id="setuid"),
        pytest.param(
            context(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}), "capabilities", id="more"
        ),
        pytest.param(context(capabilities={}), "capabilities", id="the usual capabilities"),
        pytest.param(context(runAsUser=0), "runAsUser 0", id="root"),
        pytest.param(context(runAsNonRoot=False), "runAsNonRoot is not set", id="root, perhaps"),
        pytest.param(context(procMount="Unmasked"), "procMount", id="all of /proc"),
        pytest.param(context(seccompProfile={"type": "Unconfined"}), "no seccomp profile", id="unconfined"),
        pytest.param(context(appArmorProfile={"type": "Unconfined"}), "an AppArmor profile", id="AppArmor"),
        pytest.param(context(seLinuxOptions={"type": "spc_t"}), "SELinux options", id="SELinux type"),
        pytest.param(context(seLinuxOptions={"user": "root"}), "SELinux options", id="SELinux user"),
        pytest.param({"ports": [{"containerPort": 1, "hostPort": 1}]}, "hostPort", id="a port of the node"),
        pytest.param(
            {"livenessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}}},
            "a probe of another host",
            id="a probe that the kubelet sends elsewhere",
        ),
        pytest.param(
            {"lifecycle": {"postStart": {"tcpSocket": {"host": "127.0.0.1", "port": 80}}}},
            "a probe of another host",
            id="a hook that the kubelet sends elsewhere",
        ),
    ],
)
def test_containers_that_are_not_restricted(container: Raw, said: str) -> None:
    """Every control that a container can break."""
    assert violation(template(container=container)) == said


def test_a_profile_by_annotation() -> None:
    """The old way to say it, which the API server still reads."""
    key = "container.apparmor.security.beta.kubernetes.io/model-server"
    assert (
        violation(template(annotations={key: "unconfined"})) == "an annotation that sets a security profile"
    )


def test_what_restricted_allows_is_let_through() -> None:
    """Later versions may render more than this one does."""
    volumes = [{"name": "m", "persistentVolumeClaim": {"claimName": "m"}}, {"name": "i", "image": {}}]
    (own,) = template()["spec"]["containers"]
    sidecar = {**own, "name": "fetch", **context(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]})}
    assert violation(template({"volumes": volumes, "initContainers": [sidecar], "later": {"a": 1}})) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"name": "x" * 10}, "it has the name of another revision", id="another's name"),
        pytest.param({"content": "x" * 10}, "it has the name of another revision", id="another's content"),
        pytest.param({"nonce": 3}, "it has the name of another revision", id="another nonce"),
        pytest.param({"number": 2**63 - 1}, "its numbers are out of bounds", id="a number that has no next"),
        pytest.param({"nonce": -1}, "its numbers are out of bounds", id="a nonce below zero"),
        pytest.param({"runtime": {"image": 3}}, "its runtime cannot be read", id="a runtime of its own"),
        pytest.param({"runtime": {"spec": []}}, "its runtime cannot be read", id="a runtime without a spec"),
        pytest.param(
            {"template": template({"serviceAccountName": "admin"})},
            "its pods would run as another service account",
            id="a service account that the words do not name",
        ),
        pytest.param(
            {"template": template({"hostNetwork": True})},
            "its pods would not be restricted: hostNetwork",
            id="a pod that is not restricted",
        ),
    ],
)
def test_forged_revisions(change: Raw, said: str) -> None:
    """What somebody else wrote under the name of a revision."""
    assert flaw(dataclasses.replace(make_revision("1"), **change)) == said


def test_the_largest_number_is_in_bounds() -> None:
    """That is what status takes, too."""
    assert flaw(dataclasses.replace(make_revision("1"), number=EXACT_INT_MAX)) == ""


GIVEN: dict[str, Raw] = {
    "a Secret as a volume": {"volumes": [{"name": "v", "secret": {"secretName": "keys"}}]},
    "a Secret among others": {
        "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "keys"}}]}}]
    },
    "a Secret of a driver": {"volumes": [{"name": "v", "csi": {"nodePublishSecretRef": {"name": "keys"}}}]},
    "a claim": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
    "a copy of a claim": {
        "volumes": [
            {
                "name": "v",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {"dataSource": {"kind": "PersistentVolumeClaim", "name": "data"}}
                    }
                },
            }
        ]
    },
    "the token": {"automountServiceAccountToken": True},
    "the token as a volume": {
        "volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]
    },
    "a pull secret": {"imagePullSecrets": [{"name": "keys"}]},
    "a service account by its old name": {"serviceAccount": "admin"},
}
"""What a pod that is restricted may have all the same, and that is not its own."""
ENV: dict[str, Raw] = {
    "a variable": {"env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]},
    "all its variables": {"envFrom": [{"secretRef": {"name": "keys"}}]},
}
NAMING: Raw = {
    "serviceAccountName": "admin",
    "imagePullSecrets": [{"name": "keys"}],
    "model": {"uri": "pvc://data/models/7", "secretRef": {"name": "keys"}},
}
"""Revision fields that name all of it, but for the token: a runtime asks for that."""
ASKING: Raw = {
    "kind": "ModelRuntime",
    "name": "r",
    "spec": {"automountServiceAccountToken": True, "container": {}},
}


def pods_with(what: str) -> Raw:
    """A restricted template that is given something."""
    return template(GIVEN.get(what), ENV.get(what))


@pytest.mark.parametrize("spec", [{}, None], ids=["empty", "as rendered"])
@pytest.mark.parametrize("what", ["nothing", *GIVEN, *ENV])
def test_f27_a_stored_snapshot_without_words_is_never_used(what: str, spec: Raw | None) -> None:
    """Whatever it asks for, and under whatever name; and with words only what they name is given."""
    made = make_revision("1")
    forged = dataclasses.replace(made, template=pods_with(what))
    if spec is not None:
        name = revision_hash(spec)
        for as_named in (forged.name, name):
            nobodys = dataclasses.replace(forged, spec=spec, name=as_named, content=as_named, runtime={})
            assert flaw(nobodys) == "it does not say what it was made from"
    elif what != "nothing":
        assert flaw(forged).startswith("its pods would be given what its spec does not name: ")


@pytest.mark.parametrize("what", ["nothing", *GIVEN, *ENV])
def test_f27_one_that_is_restored_has_no_more_than_the_live_spec_names(what: str) -> None:
    """From a Deployment, whose words nobody knows any more: the live ones are asked."""
    restored = dataclasses.replace(
        make_revision("1"), spec={}, runtime={}, content="r" * 10, name="r" * 10, template=pods_with(what)
    )
    foreign = flaw_of_restored(restored, [make_revision("2").spec])
    assert foreign.startswith("its pods would be given") == (what != "nothing")
    assert flaw_of_restored(restored, [NAMING, ASKING]) == ""
    spoiled = dataclasses.replace(restored, template=template({"hostPID": True}))
    assert flaw_of_restored(spoiled, [NAMING, ASKING]) == "its pods would not be restricted: hostPID"


def test_f27_another_service_account_is_not_the_one_that_is_named() -> None:
    """Names count, not that there is one."""
    restored = dataclasses.replace(make_revision("1"), template=template({"serviceAccountName": "admin"}))
    assert flaw_of_restored(restored, [{"serviceAccountName": "scorer"}]) != ""
    assert flaw_of_restored(restored, [{"serviceAccountName": "admin"}]) == ""


def test_f27_words_of_people_name_nothing() -> None:
    """Labels and annotations have keys that anybody chooses."""
    spec: Raw = {
        "podAnnotations": {"secretName": "keys"},
        "podLabels": {"claimName": "data", "serviceAccount": "admin"},
    }
    for what in ("a Secret as a volume", "a claim", "a service account by its old name"):
        restored = dataclasses.replace(make_revision("1"), template=pods_with(what))
        assert flaw_of_restored(restored, [spec]) != ""
    assert flaw(make_revision("1", **spec)) == ""


def test_f27_what_the_runtime_names_is_given() -> None:
    """As it is rendered: its variables, and the token that it asks for."""
    runtime = make_runtime(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}])
    asking = dataclasses.replace(runtime, spec={**runtime.spec, "automountServiceAccountToken": True})
    model = make_model("1", runtime={"name": asking.name})
    taken = take_snapshot(make_observed(model, runtimes=[asking]), {}, model.status, "r" * 10)
    assert isinstance(taken, Revision)
    named = dataclasses.replace(taken, name=taken.content)
    assert flaw(named) == ""
    assert flaw(dataclasses.replace(named, runtime={})) != ""
    assert flaw_of_restored(named, [model.fields]) != ""
    assert flaw_of_restored(named, [model.fields, taken.runtime]) == ""


def test_words_that_are_none() -> None:
    """A hash can be made of anything; what is read of it must not break."""
    spec = {"model": "7"}
    name = revision_hash(spec)
    odd = dataclasses.replace(make_revision("1"), spec=spec, name=name, content=name)
    assert flaw(odd) == ""
    assert odd.model_version == ""
