"""Names, addresses, weights and times: small functions that much depends on."""

import ipaddress
import json
from datetime import UTC
from typing import Any, Final

from fuzz.manifests import label_problems
from fuzz.source import Source
from fuzz.words import WORDS
from modelward.api import names
from modelward.api.times import format_micro, format_seconds, is_time, parse
from modelward.cache.pod_address import pod_address
from modelward.clients.scrape import Page
from modelward.projection.route import rules, user_route_patch
from modelward.rollout.capacity import canary_replicas
from modelward.simulator.json_patch import patched
from modelward.traffic_shares import Pair, names_any, pair

_LETTERS: Final = "abz019-."
_REVISIONS: Final = ("bcdfghjklm", "npqrstvwxz", "2456789bcd")
_SERVICES: Final = ("fraud", "fraud-canary", "other", "fraud-canary-2", "")


def named(data: bytes) -> None:
    """Names of children and labels are valid, however long a model's name is, and two models share none of a revision's."""
    source = Source(data)
    models = {_model_name(source) for _ in range(2)}
    revision = source.pick(_REVISIONS)
    for model in models:
        for label in (names.revision_labels(model, revision), names.revision_selector(model, revision)):
            assert not (wrong := list(label_problems(label))), wrong
        for name in _service_names(model, revision):
            assert len(name) <= 63, name
            assert name[0].isalpha(), name
            assert name[-1].isalnum(), name
            assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"), name
        child = names.child_name(model, revision)
        assert len(child) <= 242, child
        assert child.endswith(f"-{revision}"), child
        assert ".-" not in child or ".-" in model, child
    if len(models) == 2:
        first, second = models
        assert names.model_label(first) != names.model_label(second)
        assert names.child_name(first, revision) != names.child_name(second, revision)
        assert names.service_name(first) != names.service_name(second)


def _model_name(source: Source) -> str:
    """A name that the API server takes: an RFC 1123 subdomain."""
    length = source.pick((5, 1, 62, 63, 64, 230, 231, 232, 242, 253))
    name = "".join(source.pick(_LETTERS) for _ in range(min(length, 12)))
    name = (name + "a" * length)[:length]
    parts = [part.strip("-") or "a" for part in name.split(".")]
    return ".".join(parts)


def _service_names(model: str, revision: str) -> tuple[str, ...]:
    return (
        names.service_name(model),
        names.canary_service_name(model),
        names.revision_service_name(model, revision),
    )


def addressed(data: bytes) -> None:
    """A page is asked of the pod alone: whatever the path is, host and port stay; and the pod is no one's else address."""
    source = Source(data)
    address = source.pick(_ADDRESSES) if source.chance() else source.text()
    raw = _pod(source, address)
    found = pod_address(raw)
    if not found:
        return
    host = ipaddress.ip_address(found)
    mapped = getattr(host, "ipv4_mapped", None) or host
    assert not any((mapped.is_loopback, mapped.is_link_local, mapped.is_multicast, mapped.is_unspecified))
    assert not raw["spec"].get("hostNetwork")
    path = "/" + "".join(chr(33 + source.whole(93)) for _ in range(source.whole(30)))
    page = Page(address=found, port=1 + source.whole(65_534), path=path if source.chance() else _path(source))
    assert page.url.host is not None
    assert ipaddress.ip_address(page.url.host) == host
    assert (page.url.scheme, page.url.port, page.url.user) == ("http", page.port, None)
    assert "\n" not in str(page.url)
    assert not page.url.fragment


_ADDRESSES: Final = (
    "10.0.0.7",
    "fd00::7",
    "127.0.0.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "fd00::7%eth0",
    "0.0.0.0",  # noqa: S104 - an address that must not be asked
    "::",
    "224.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::127.0.0.1",
    "10.0.0.1",
    "010.0.0.1",
    "0x7f.1",
    "2130706433",
)


def _path(source: Source) -> str:
    """A path that the schema takes."""
    fitting = [word for word in WORDS if word.startswith("/") and word.isascii() and word.isprintable()]
    return source.pick([word for word in fitting if " " not in word])


def _pod(source: Source, address: str) -> dict[str, Any]:
    revision, template = "bcdfghjklm", "7d9f8b6c5d"
    owner = {
        "apiVersion": "apps/v1",
        "kind": source.pick(("ReplicaSet", "DaemonSet")),
        "name": source.pick((f"fraud-{revision}-{template}", "other")),
        "controller": source.pick((True, False)),
    }
    return {
        "metadata": {
            "labels": {names.REVISION_LABEL: revision, "pod-template-hash": source.pick((template, ""))},
            "ownerReferences": [owner],
        },
        "spec": {"hostNetwork": True} if source.chance(8) else {},
        "status": {"podIP": address, "hostIP": source.pick(("10.0.0.1", address))},
    }


def weighed(data: bytes) -> None:
    """Shares keep their sum and their bounds; a patch of a user's route changes weights of the two Services alone."""
    source = Source(data)
    percent = source.between(0, 100)
    made = Pair(stable=source.between(0, 1_000_000), canary=source.between(0, 1_000_000))
    shared = made.having(percent)
    assert shared.total == made.total
    assert min(shared.stable, shared.canary) >= 0
    assert shared.percent <= percent
    assert shared.having(percent) == shared
    of, routed = source.between(0, 10_000), source.chance()
    count = canary_replicas(percent, of, routed=routed)
    assert 0 <= count <= of
    assert count or not of
    check_patch(source, percent)


def check_patch(source: Source, percent: int) -> None:
    """Applied once, it is done; sums and everything else stay."""
    route = _user_route(source)
    before = json.loads(json.dumps(route))
    operations = user_route_patch(route, "fraud", percent)
    assert route == before, "the route itself was changed"
    after = patched(route, operations)
    assert user_route_patch(after, "fraud", percent) == []
    assert _without_weights(after) == _without_weights(before)
    for old, new in zip(rules(before), rules(after), strict=True):
        assert sum(weight for _, weight in old) == sum(weight for _, weight in new)
        others = [item for item in old if item[0] not in ("fraud", "fraud-canary")]
        assert others == [item for item in new if item[0] not in ("fraud", "fraud-canary")]
        shares = pair(new, "fraud", "fraud-canary")
        if shares and names_any(old, ("fraud",)):
            assert shares.percent <= percent


def _user_route(source: Source) -> dict[str, Any]:
    metadata = {"name": "routes", "namespace": "shop", "uid": "u", "resourceVersion": "7"}
    rules_ = [
        source.pick(({}, {"name": "a"}, {"backendRefs": None}))
        if source.chance(8)
        else {"backendRefs": [_backend(source) for _ in range(source.whole(4))]}
        for _ in range(source.whole(4))
    ]
    return {"kind": "HTTPRoute", "metadata": metadata, "spec": source.pick(({"rules": rules_}, {}, None))}


def _backend(source: Source) -> dict[str, Any]:
    ref: dict[str, Any] = {"name": source.pick(_SERVICES), "port": 80}
    if source.whole(3):
        ref["weight"] = source.pick((0, 1, 99, 100, 1_000_000, None))
    if source.chance(4):
        ref |= source.pick(({"namespace": "shop"}, {"namespace": "other"}, {"group": "", "kind": "Service"}))
    if source.chance(8):
        ref |= source.pick(({"group": "a.b", "kind": "Bucket"}, {"kind": None}, {"filters": []}))
    return ref


def _without_weights(route: dict[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(route))
    for rule in (copy.get("spec") or {}).get("rules") or ():
        for ref in rule.get("backendRefs") or ():
            ref.pop("weight", None)
    return copy


def timed(data: bytes) -> None:
    """A time, or ValueError; one that can be counted with is written and read the same, to the second at least."""
    source = Source(data)
    text = source.mutated(_TIMES)
    try:
        time = parse(text)
    except ValueError:
        assert not is_time(text)
        return
    assert time.tzinfo is not None
    if not is_time(text):
        return
    assert parse(format_micro(time)) == time
    assert is_time(format_micro(time))
    assert parse(format_seconds(time)) == time.astimezone(UTC).replace(microsecond=0)
    assert time.astimezone(UTC).timestamp() == time.timestamp()


_TIMES: Final = (
    "2026-11-22T10:00:00.000001Z",
    "2026-11-22T10:00:00Z",
    "2026-11-22T23:59:60Z",
    "2026-11-22T10:00:00.123456789+05:30",
    "1970-01-01T00:00:00+14:00",
    "8999-12-31T23:59:59-23:59",
    "2026-02-29T00:00:00Z",
    "20261122T100000Z",
    "2026-W47-7T10:00:00Z",
    "2026-11-22 10:00:00z",
)
