"""The API server in memory behaves as the real one where the operator relies on it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modelward.simulator.api_server import ApiServer, Refused, Write
from modelward.simulator.connection import matches
from modelward.simulator.json_patch import patched

Raw = dict[str, Any]
AT = ("Deployment", "shop", "d")


@pytest.fixture
def writes() -> list[Write]:
    """What was written."""
    return []


@pytest.fixture
def server(writes: list[Write]) -> ApiServer:
    """A server with one Deployment."""
    made = ApiServer(now=lambda: datetime(2026, 11, 22, tzinfo=UTC), written=writes.append)
    raw = {"kind": "Deployment", "metadata": {"namespace": "shop", "name": "d"}, "spec": {"replicas": 1}}
    made.create(raw, "modelward")
    return made


def set_replicas(raw: Raw) -> None:
    """Scale to 5, and try to change more."""
    raw["spec"] = {"replicas": 5, "paused": True}


def test_a_create_never_takes_over(server: ApiServer) -> None:
    """A name is taken once."""
    with pytest.raises(Refused) as refused:
        server.create(server.get(*AT), "other")
    assert refused.value.reason == "AlreadyExists"


def test_a_stale_write_is_refused(server: ApiServer) -> None:
    """By resourceVersion."""
    old = server.get(*AT)
    server.change(AT, "a", set_replicas)
    with pytest.raises(Refused) as refused:
        server.change(AT, "b", lambda _: old)
    assert refused.value.reason == "Conflict"


def test_the_scale_subresource_changes_replicas_only_and_their_owner(server: ApiServer) -> None:
    """As with a HorizontalPodAutoscaler."""
    after = server.change(AT, "hpa", set_replicas, subresource="scale")
    assert after["spec"] == {"replicas": 5}
    assert [each["manager"] for each in after["metadata"]["managedFields"]] == ["hpa"]
    assert after["metadata"]["generation"] == 2


def test_a_write_that_changes_nothing_is_reported_and_moves_no_version(
    server: ApiServer, writes: list[Write]
) -> None:
    """It is a request too many, and no event."""
    version = server.get(*AT)["metadata"]["resourceVersion"]
    server.change(AT, "a", lambda _: None)
    assert server.get(*AT)["metadata"]["resourceVersion"] == version
    assert writes[-1].before == writes[-1].after


def test_json_patch_adds_and_removes_by_pointer() -> None:
    """With the escapes of RFC 6901, and without touching the original."""
    document: Raw = {"a": {"x/y": 1}, "list": [1, 2]}
    after = patched(
        document,
        [{"op": "add", "path": "/a/x~1y", "value": 2}, {"op": "remove", "path": "/list/0"}],
    )
    assert after == {"a": {"x/y": 2}, "list": [2]}
    assert document == {"a": {"x/y": 1}, "list": [1, 2]}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        pytest.param("", True, id="no selector"),
        pytest.param("a=1", True, id="equal"),
        pytest.param("a=2", False, id="another value"),
        pytest.param("a=1,b in (2,3)", True, id="one of several"),
        pytest.param("a=1,b in (4)", False, id="none of them"),
    ],
)
def test_selectors(selector: str, fits: bool) -> None:  # noqa: FBT001 - a parametrized case
    """The two forms that the operator sends."""
    assert matches({"a": "1", "b": "2"}, selector) is fits
