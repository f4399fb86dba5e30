"""What pods are given that is not theirs: service accounts, their tokens, Secrets and claims, wherever they are named.

The same fields name them in a pod template, in spec of a ModelDeployment and in a runtime, so one search serves for all
three. It goes by names of fields, at any depth: a kind of volume that is not known here names its Secret in the same way.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Reference = tuple[str, str]
"""Kind and name."""

TOKEN: Final[Reference] = ("token of the service account", "")
"""Which service account's is another reference."""
_WORDS: Final = frozenset(
    {"annotations", "labels", "matchLabels", "nodeSelector", "podAnnotations", "podLabels"}
)
"""Fields with keys that anybody chooses."""
_NAMES: Final = {
    "secretName": "Secret",
    "claimName": "PersistentVolumeClaim",
    "volumeName": "PersistentVolume",  # of a claim that is made for the pod
    "secretProviderClass": "SecretProviderClass",  # of the Secrets Store CSI driver
    "resourceClaimName": "ResourceClaim",
    "resourceClaimTemplateName": "ResourceClaimTemplate",
}
"""Kinds, by the field that is nothing but a name."""
_CLAIM_SCHEME: Final = "pvc://"


def references(value: Any) -> frozenset[Reference]:
    """All references in a value that was JSON. Raises RecursionError if it is nested too deep."""
    return frozenset(_references(value))


def shown(reference: Reference) -> str:
    """A reference in words."""
    return " ".join(reference).rstrip()


def _references(value: Any) -> Iterator[Reference]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _of_field(key, inner)
            if key not in _WORDS:
                yield from _references(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _references(inner)


def _of_field(key: str, value: Any) -> Iterator[Reference]:
    match key, value:
        case (("serviceAccountName" | "serviceAccount"), str()) if value:
            yield "ServiceAccount", value
        case ("automountServiceAccountToken", True) | ("serviceAccountToken", _):
            yield TOKEN
        case (("secret" | "secretRef" | "secretKeyRef" | "nodePublishSecretRef"), {"name": str(name)}):
            yield "Secret", name
        case "imagePullSecrets", [*each]:
            yield from (("Secret", str(one.get("name"))) for one in each if isinstance(one, Mapping))
        case str(), str() if key in _NAMES:
            yield _NAMES[key], value
        case (("dataSource" | "dataSourceRef"), {"kind": str(kind), "name": str(name)}):
            yield kind, name  # of a volume that is made for the pod: it begins as a copy of that
        case "uri", str() if value.startswith(_CLAIM_SCHEME):
            yield "PersistentVolumeClaim", value.removeprefix(_CLAIM_SCHEME).partition("/")[0]
