"""How traffic reaches the model: through a gateway of ours or a route of the user's own."""

from typing import Annotated, ClassVar

from msgspec import Meta

from modelward.api.fields import (
    ApiStruct,
    DnsLabel,
    LocalObjectReference,
    ObjectName,
    Port,
    Rule,
    UrlPath,
    atomic,
    worded,
)

Hostname = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
    ),
    worded(
        r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "must be a host name in lower case, such as model.example.com or *.example.com",
    ),
]


class ParentReference(ApiStruct, frozen=True, kw_only=True):
    """A Gateway that carries the route. Its listeners decide which namespaces they admit."""

    name: Annotated[ObjectName, Meta(description="Name of the Gateway. Required.")]
    namespace: Annotated[
        DnsLabel | None, Meta(description="Namespace of the Gateway. Default: the model's own.")
    ] = None
    section_name: Annotated[
        ObjectName | None, Meta(description="Name of one listener. Default: every listener that fits.")
    ] = None
    port: Annotated[Port | None, Meta(description="Port of the listeners. Default: every port.")] = None


class GatewayTraffic(ApiStruct, frozen=True, kw_only=True):
    """An HTTPRoute of the operator's own."""

    parent_refs: Annotated[
        tuple[ParentReference, ...],
        atomic(8, least=1),
        Meta(description="Gateways that carry the route. Required, at least one."),
    ]
    hostnames: Annotated[
        tuple[Hostname, ...],
        atomic(16),
        Meta(description="Host names of the route. Default: those of the listeners."),
    ] = ()
    path_prefix: Annotated[UrlPath, Meta(description="Prefix of the paths of the route. Default /.")] = "/"


class Traffic(ApiStruct, frozen=True, kw_only=True):
    """A router that splits traffic exactly. Exactly one of the two ways is given."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            expression="has(self.gateway) != has(self.httpRouteRef)",
            message="must have exactly one of gateway and httpRouteRef",
        ),
    )

    gateway: Annotated[
        GatewayTraffic | None,
        Meta(
            description="Gateways for which the operator makes an HTTPRoute, instead of httpRouteRef. Default: none."
        ),
    ] = None
    http_route_ref: Annotated[
        LocalObjectReference | None,
        Meta(
            description="An HTTPRoute of your own, labelled modelward.dev/weights=managed; only the weights of"
            " its backends are touched. Instead of gateway. Default: none."
        ),
    ] = None
