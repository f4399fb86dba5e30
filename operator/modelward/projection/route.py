"""HTTPRoute: the weights that share out a model's traffic - in a route of ours, or in the user's own.

Gateway API v1 (https://gateway-api.sigs.k8s.io/reference/spec/#httproute). `rules` and `backendRefs` are atomic
lists for server-side apply, so a field manager owns all of them or nothing: the user's own route can only be
changed by a patch that says what it expects to find.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.objects import Manifest
from modelward.api.rollout_policy import WHOLE
from modelward.api.traffic_policy import ParentReference
from modelward.projection.metadata import metadata
from modelward.projection.service import HTTP_PORT
from modelward.traffic_shares import Rule, pair

KIND: Final = "HTTPRoute"

Operation = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRoute:
    """What a user's own route should say for a model."""

    name: str
    weight_percent: int
    """The canary's share."""


def http_route(model: Model, stable: str, canary: str | None, weight_percent: int) -> Manifest:
    """The manifest of our own route (`spec.traffic.gateway`): weights of the revisions' Services, which sum to 100."""
    traffic = model.spec.traffic
    if traffic is None or traffic.gateway is None:
        raise ValueError("a route of our own needs spec.traffic.gateway")
    gateway = traffic.gateway
    shares = {stable: WHOLE - weight_percent, canary: weight_percent} if canary else {stable: WHOLE}
    labels = {**names.model_labels(model.name), names.WEIGHTS_LABEL: names.WEIGHTS_MANAGED}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": KIND,
        "metadata": metadata(model, model.name, labels),
        "spec": {
            "parentRefs": [_parent(each) for each in gateway.parent_refs],
            "hostnames": list(gateway.hostnames),
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": gateway.path_prefix}}],
                    "backendRefs": [
                        {
                            "name": names.revision_service_name(model.name, revision),
                            "port": HTTP_PORT,
                            "weight": weight,
                        }
                        for revision, weight in shares.items()
                    ],
                }
            ],
        },
    }


def user_route_patch(raw_route: Mapping[str, Any], model: str, weight_percent: int) -> list[Operation]:
    """JSON Patch that gives the canary its share in each rule of a user's route that names both our Services.

    It sets nothing but `weight`, keeps the sum of the two, and says what it expects to find: uid,
    resourceVersion, and the name behind each weight. Empty when all is as it should be.
    """
    changes = [
        operation
        for number, rule in enumerate(_spec(raw_route).get("rules") or ())
        for operation in _weights(rule, f"/spec/rules/{number}/backendRefs", raw_route, model, weight_percent)
    ]
    if not changes:
        return []
    metadata_ = raw_route["metadata"]
    expected = [
        {"op": "test", "path": f"/metadata/{key}", "value": metadata_[key]}
        for key in ("uid", "resourceVersion")
    ]
    return [*expected, *changes]


def rules(raw_route: Mapping[str, Any]) -> tuple[Rule, ...]:
    """Every rule of a route, as the Services of its own namespace that it sends to."""
    return tuple(
        tuple(
            (ref["name"], _weight(ref)) for ref in rule.get("backendRefs") or () if _is_local(ref, raw_route)
        )
        for rule in _spec(raw_route).get("rules") or ()
    )


def _weights(
    rule: Mapping[str, Any], path: str, raw_route: Mapping[str, Any], model: str, weight_percent: int
) -> Iterator[Operation]:
    refs: Sequence[Mapping[str, Any]] = rule.get("backendRefs") or ()
    local = {number: ref for number, ref in enumerate(refs) if _is_local(ref, raw_route)}
    stable, canary = names.service_name(model), names.canary_service_name(model)
    present = pair(tuple((ref["name"], _weight(ref)) for ref in local.values()), stable, canary)
    if present is None or present.having(weight_percent) == present:
        return
    wanted = present.having(weight_percent)
    for number, ref in local.items():
        if ref["name"] in (stable, canary):
            weight = wanted.stable if ref["name"] == stable else wanted.canary
            yield {"op": "test", "path": f"{path}/{number}/name", "value": ref["name"]}
            yield {"op": "add", "path": f"{path}/{number}/weight", "value": weight}


def _spec(raw_route: Mapping[str, Any]) -> Mapping[str, Any]:
    return raw_route.get("spec") or {}


def _weight(ref: Mapping[str, Any]) -> int:
    """By default it is 1."""
    weight = ref.get("weight")
    return 1 if weight is None else int(weight)


def _is_local(ref: Mapping[str, Any], raw_route: Mapping[str, Any]) -> bool:
    """Whether a backend is a Service of the route's own namespace."""
    home = raw_route["metadata"]["namespace"]
    return (
        (ref.get("group") or "") == ""
        and ref.get("kind", "Service") == "Service"
        and (ref.get("namespace") or home) == home
    )


def _parent(parent: ParentReference) -> dict[str, Any]:
    fields = {
        "name": parent.name,
        "namespace": parent.namespace,
        "sectionName": parent.section_name,
        "port": parent.port,
    }
    return {key: value for key, value in fields.items() if value is not None}
