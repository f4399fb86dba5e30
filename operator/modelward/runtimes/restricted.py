"""What a pod template must not say: the controls of Pod Security Standard `restricted`, as of Kubernetes 1.36.

Templates that are rendered here follow it by themselves (see `render`). This is for templates that come back from the
cluster: whoever wrote into them would have their pod made with the operator's rights. Fields that are not known here
are let through, so that templates of later versions can be read.

Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelward.api.model_deployment import PROFILE_ANNOTATION_PREFIXES

Fields = Mapping[str, Any]

_HOST_NAMESPACES: Final = ("hostNetwork", "hostPID", "hostIPC")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_VOLUMES: Final = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
_SECCOMP: Final = ("RuntimeDefault", "Localhost")
_APP_ARMOR: Final = (None, "RuntimeDefault", "Localhost")
_MAY_BE_ADDED: Final = frozenset({"NET_BIND_SERVICE"})
_SELINUX_TYPES: Final = (
    None,
    "",
    "container_t",
    "container_init_t",
    "container_kvm_t",
    "container_engine_t",
)
_SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)


def violation(template: Fields) -> str:
    """The first thing that `restricted` forbids in a pod template, in a few words; empty if there is none."""
    try:
        return next(_violations(template), "")
    except (AttributeError, TypeError):
        return "it is no pod template"


def _violations(template: Fields) -> Iterator[str]:
    pod = template.get("spec") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if any(key.startswith(PROFILE_ANNOTATION_PREFIXES) for key in annotations):
        yield "an annotation that sets a security profile"
    yield from (name for name in _HOST_NAMESPACES if pod.get(name))
    for volume in pod.get("volumes") or ():
        if others := sorted(volume.keys() - _VOLUMES - {"name"}):
            yield f"a volume of type {others[0]}"
    whole = pod.get("securityContext") or {}
    if any(each.get("name") not in _SAFE_SYSCTLS for each in whole.get("sysctls") or ()):
        yield "a sysctl that is not safe"
    yield from _of_context(whole)
    containers = [each for group in _CONTAINERS for each in pod.get(group) or ()]
    if not containers:
        yield "no container"
    for container in containers:
        yield from _of_container(container, whole)


def _of_context(context: Fields) -> Iterator[str]:
    """What a pod and a container may both say."""
    if context.get("runAsUser") == 0:
        yield "runAsUser 0"
    if (context.get("appArmorProfile") or {}).get("type") not in _APP_ARMOR:
        yield "an AppArmor profile"
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "hostProcess"
    selinux = context.get("seLinuxOptions") or {}
    if selinux.get("type") not in _SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield "SELinux options"


def _of_container(container: Fields, whole: Fields) -> Iterator[str]:
    context = container.get("securityContext") or {}
    yield from _of_context(context)
    if context.get("privileged"):
        yield "privileged"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if context.get("procMount") not in (None, "Default"):
        yield "procMount"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or ()) or set(capabilities.get("add") or ()) - _MAY_BE_ADDED:
        yield "capabilities"
    if context.get("runAsNonRoot", whole.get("runAsNonRoot")) is not True:
        yield "runAsNonRoot is not set"
    profile = context.get("seccompProfile") or whole.get("seccompProfile") or {}
    if profile.get("type") not in _SECCOMP:
        yield "no seccomp profile"
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "hostPort"
    if any(_names_a_host(action) for action in _actions(container)):
        yield "a probe of another host"


def _actions(container: Fields) -> Iterator[Fields]:
    """What the kubelet does for a container: probes and hooks."""
    hooks = container.get("lifecycle") or {}
    probes = (container.get(name) for name in ("startupProbe", "readinessProbe", "livenessProbe"))
    yield from (each for each in (*probes, hooks.get("postStart"), hooks.get("preStop")) if each)


def _names_a_host(action: Fields) -> bool:
    return any((action.get(kind) or {}).get("host") for kind in ("httpGet", "tcpSocket"))
