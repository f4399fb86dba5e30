"""What was learnt of a revision's noise is kept on its snapshot, once (F14)."""

from copy import deepcopy

from builders import manifest
from modelward.api.names import MOST_NOISE_CHARACTERS, NOISE_ANNOTATION
from modelward.api.objects import Manifest
from support.memory_cluster import KEY, MemoryCluster


async def _serving() -> MemoryCluster:
    cluster = MemoryCluster()
    cluster.create(manifest())
    await cluster.after(30.0)
    return cluster


def _snapshot(cluster: MemoryCluster) -> Manifest:
    return cluster.get("ControllerRevision", cluster.child())


def _stable(cluster: MemoryCluster) -> str:
    return str(cluster.status()["stableRevision"])


async def test_f14_it_is_noted_once() -> None:
    """And no more is written, though more is learnt: at rest nothing is."""
    cluster = await _serving()
    assert NOISE_ANNOTATION not in _snapshot(cluster)["metadata"]["annotations"]
    cluster.sampling.noise = "[1,{}]"
    await cluster.after(30.0)
    noted = deepcopy(_snapshot(cluster))
    assert noted["metadata"]["annotations"][NOISE_ANNOTATION] == "[1,{}]"
    cluster.sampling.noise = '[1,{"errors":[]}]'
    await cluster.after(600.0)
    assert _snapshot(cluster) == noted


async def test_f14_another_operator_reads_it() -> None:
    """From the snapshot; what is longer than it may be is not read."""
    cluster = await _serving()
    cluster.sampling.noise = "[1,{}]"
    await cluster.after(30.0)
    cluster.start()
    await cluster.after(5.0)
    model = cluster.store.model(KEY)
    assert model
    (snapshot,) = cluster.store.snapshots(model.uid)
    assert snapshot.noise == "[1,{}]"
    assert snapshot.child.revision == _stable(cluster)
    raw = deepcopy(_snapshot(cluster))
    raw["metadata"]["annotations"][NOISE_ANNOTATION] = "x" * (MOST_NOISE_CHARACTERS + 1)
    assert not type(snapshot).of(raw).noise
