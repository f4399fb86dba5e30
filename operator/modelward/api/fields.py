"""The vocabulary of fields: the base struct, bounded scalars and the rules that cross fields.

A constraint stands in the type, once. `decode` enforces it on what arrives, `schema` writes it into the
CRD, and `reference` into the documentation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta


class ApiStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of all types of the resource: frozen, camelCase outside, lenient to unknown fields.

    Unknown fields are the CRD's business (it prunes them), so that an older operator reads what a newer
    one wrote. A subclass lists rules that cross its fields in a class variable `RULES`.
    """


class RuleReason(StrEnum):
    """What kind of mistake a rule finds; `kubectl` prints it before the message."""

    INVALID = "FieldValueInvalid"
    REQUIRED = "FieldValueRequired"
    FORBIDDEN = "FieldValueForbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A CEL rule of the CRD.

    `message` completes the sentence "this object ...", so it begins with "must". `field` is the path
    (camelCase, relative to the struct) that the error names; absent, it names the struct itself.
    """

    expression: str
    message: str
    field: str | None = None
    reason: RuleReason = RuleReason.INVALID

    def manifest(self) -> dict[str, str]:
        """Return one item of `x-kubernetes-validations`."""
        item = {"rule": self.expression, "message": self.message}
        if self.reason is not RuleReason.INVALID:
            item["reason"] = self.reason.value
        return item | {"fieldPath": f".{self.field}"} if self.field else item


def checked(*rules: Rule) -> Meta:
    """Attach CEL rules to one value rather than to the struct around it."""
    return schema_extra({"x-kubernetes-validations": [rule.manifest() for rule in rules]})


def schema_extra(extra: dict[str, Any]) -> Meta:
    """Keys that go into the OpenAPI schema as they are."""
    return Meta(extra_json_schema=extra)


WORDED = {"pattern": "worded"}


def worded(pattern: str, message: str) -> Meta:
    """Constrain a string by `pattern`, and have the API server say `message` instead of showing the pattern.

    Names keep a bare pattern, as Kubernetes' own do; this is for patterns that nobody wants to read.
    """
    rule = Rule(expression=f"self.matches(r'{pattern}')", message=message)
    return Meta(
        pattern=pattern, extra_json_schema={"x-kubernetes-validations": [rule.manifest()]}, extra=WORDED
    )


def worded_number(pattern: str, message: str) -> Meta:
    """Have the API server say `message` for a number that may also be a string of `pattern`."""
    rule = Rule(expression=f"type(self) == int || self.matches(r'{pattern}')", message=message)
    return Meta(extra_json_schema={"x-kubernetes-validations": [rule.manifest()]}, extra=WORDED)


def list_map(keys: Sequence[str], limit: int) -> Meta:
    """Limit a list to `limit` items, merged item by item by `keys`; duplicates are refused."""
    extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
    return Meta(max_length=limit, extra_json_schema=extra)


def atomic(limit: int, least: int = 0) -> Meta:
    """Limit a list to `least` to `limit` items; it is replaced as a whole."""
    extra = {"x-kubernetes-list-type": "atomic"}
    return Meta(min_length=least or None, max_length=limit, extra_json_schema=extra)


def map_of(limit: int) -> Meta:
    """Limit a map to `limit` entries, merged key by key."""
    return Meta(max_length=limit, extra_json_schema={"x-kubernetes-map-type": "granular"})


# Kubernetes' own notation: RFC 1123 for names, resource.Quantity without a sign, qualified names for keys.
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_QUANTITY = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][-+]?[0-9]+)?$"
_QUALIFIED_NAME = rf"^({_DNS_LABEL}(\.{_DNS_LABEL})*/)?[A-Za-z0-9]([-_.A-Za-z0-9]{{0,61}}[A-Za-z0-9])?$"

INT32_MAX = 2**31 - 1
EXACT_INT_MAX = 2**53 - 1
"""Largest whole number that every JSON reader keeps exactly (RFC 8259, section 6)."""

_OBJECT_NAME = Meta(min_length=1, max_length=253, pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$")

DnsLabel = Annotated[str, Meta(min_length=1, max_length=63, pattern=f"^{_DNS_LABEL}$")]
ObjectName = Annotated[str, _OBJECT_NAME]
Identifier = Annotated[
    str, Meta(min_length=1, max_length=63, pattern="^[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$")
]
"""A word that is safe in paths, label values and queries."""

FreeText = Annotated[
    str,
    Meta(max_length=128),
    worded(r"^[^\x00-\x1f\x7f]*$", "must be one line without control characters"),
]

Port = Annotated[int, Meta(ge=1, le=65535)]
PortReference = Annotated[
    Port | Annotated[str, Meta(max_length=15, pattern="^(http|grpc|metrics)$")],
    worded_number(
        "^(http|grpc|metrics)$", "must be a port number or one of the names http, grpc and metrics"
    ),
]
"""A port by number, or by its name in `Ports`."""

UrlPath = Annotated[
    str,
    Meta(min_length=1, max_length=1024),
    worded(
        "^/[!-~]*$", "must be a path that begins with / and has no spaces; percent-encode what is not ASCII"
    ),
]
Image = Annotated[
    str,
    Meta(min_length=1, max_length=512),
    worded(
        "^[A-Za-z0-9][-_.:/@A-Za-z0-9]*$",
        "must be the reference of an image, such as registry.example.com/team/server:1.2",
    ),
]

# Of a quantity as a number YAML leaves only whole ones: 0.5 is a float there and must be quoted.
Quantity = Annotated[
    Annotated[int, Meta(ge=0, le=EXACT_INT_MAX)]
    | Annotated[str, Meta(min_length=1, max_length=32, pattern=_QUANTITY)],
    worded_number(_QUANTITY, "must be a quantity such as 2, 500m or 4Gi"),
]
QualifiedName = Annotated[str, Meta(min_length=1, max_length=317, pattern=_QUALIFIED_NAME)]
LabelValue = Annotated[str, Meta(max_length=63, pattern="^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$")]

Day = Annotated[int, Meta(ge=1, le=86_400)]
"""Seconds, at most one day."""

Percent = Annotated[int, Meta(ge=0, le=100)]
MOST_REPLICAS = 10_000
Replicas = Annotated[int, Meta(ge=0, le=MOST_REPLICAS)]

_SERIES = r"[A-Za-z_:][A-Za-z0-9_:]*(\{[^\x00-\x1f\x7f]*\})?"
Selector = Annotated[
    str,
    Meta(min_length=1, max_length=1024),
    worded(
        rf"^{_SERIES}$",
        'must be the name of a metric, with label matchers in braces where needed: name{label="value"}',
    ),
]
"""A series of the metrics page."""
SelectorSum = Annotated[
    str,
    Meta(min_length=1, max_length=1024),
    worded(
        rf"^{_SERIES}( *[+] *{_SERIES}){{0,7}}$",
        'must be the name of a metric, with label matchers in braces where needed: name{label="value"},'
        " or the sum of at most eight of them",
    ),
]
"""A counter of the metrics page, or some that are added."""


class LocalObjectReference(ApiStruct, frozen=True, kw_only=True):
    """An object of the same namespace, by name."""

    MAP_TYPE: ClassVar[str] = "atomic"

    name: Annotated[ObjectName, Meta(description="Name of the object, in the same namespace. Required.")]
