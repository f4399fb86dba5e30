"""A stored revision is used only if it can be one that we stored."""

import copy
import dataclasses
from typing import Any

import pytest

from builders import make_revision
from modelward.api.fields import EXACT_INT_MAX
from modelward.rollout.genuine import flaw
from modelward.rollout.revisions import revision_hash
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


def test_what_is_rendered_is_genuine() -> None:
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


def test_one_that_was_restored_without_its_words() -> None:
    """Its template alone is looked at; a pod that is not restricted is refused here, too."""
    restored = dataclasses.replace(make_revision("1"), spec={}, runtime={}, content="r" * 10, name="r" * 10)
    assert flaw(restored) == ""
    assert flaw(dataclasses.replace(restored, template=template({"hostPID": True}))) != ""


def test_words_that_are_none() -> None:
    """A hash can be made of anything; what is read of it must not break."""
    spec = {"model": "7"}
    name = revision_hash(spec)
    odd = dataclasses.replace(make_revision("1"), spec=spec, name=name, content=name)
    assert flaw(odd) == ""
    assert odd.model_version == ""
