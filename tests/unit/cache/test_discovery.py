"""Optional kinds: there, not there, and not for us to read."""

from typing import Any

import pytest

from modelward.cache.discovery import Discovery
from modelward.cache.store import Store
from modelward.clients.resources import HTTP_ROUTE, Resource
from modelward.errors import ApiError, Refused


class Cluster:
    """What Discovery asks a Kube for."""

    def __init__(self) -> None:
        """A cluster without the kind."""
        self.served = False
        self.refuses: Refused | None = None
        self.away = False
        self.asked: list[str | None] = []

    async def serves(self, _resource: Resource) -> bool:
        """Whether the kind is there."""
        if self.away:
            raise ApiError(503, "ServiceUnavailable", "starting")
        return self.served

    async def list_metadata(self, _resource: Resource, namespace: str | None, **_: Any) -> list[Any]:
        """Nothing, if that is allowed."""
        self.asked.append(namespace)
        if self.refuses:
            raise self.refuses
        return []


def discovery(cluster: Cluster, *namespaces: str) -> Discovery:
    """A new one."""
    return Discovery(cluster, Store(), namespaces)  # type: ignore[arg-type]  # all that it uses of a Kube


async def test_a_kind_comes_and_goes() -> None:
    """Each change is reported once."""
    cluster = Cluster()
    found = discovery(cluster)
    await found.poll()
    assert (
        "does not have the kind (gateway.networking.k8s.io/v1 HTTPRoute)"
        in found.store.absent[HTTP_ROUTE.kind]
    )
    assert not found.changed.is_set()
    cluster.served = True
    await found.poll()
    assert found.store.absent == {}
    assert found.changed.is_set()
    found.changed.clear()
    await found.poll()
    assert not found.changed.is_set()
    cluster.served = False
    await found.poll()
    assert found.changed.is_set()
    assert HTTP_ROUTE.kind in found.store.absent


async def test_no_answer_does_not_mean_that_a_kind_is_gone() -> None:
    """What was known stays."""
    cluster = Cluster()
    cluster.served = True
    found = discovery(cluster)
    await found.poll()
    cluster.away = True
    with pytest.raises(ApiError):
        await found.poll()
    assert found.store.absent == {}


async def test_a_kind_that_may_not_be_read_is_not_there_for_us() -> None:
    """It is tried again, in every namespace that is served."""
    cluster = Cluster()
    cluster.served, cluster.refuses = True, Refused(403, "Forbidden", "httproutes is forbidden")
    found = discovery(cluster, "a", "b")
    await found.poll()
    assert "has no right to it (httproutes is forbidden)" in found.store.absent[HTTP_ROUTE.kind]
    cluster.refuses = None
    await found.poll()
    assert found.store.absent == {}
    assert cluster.asked == ["a", "b", "a"], "one that may be read is enough"
