"""What may be read of a model at rest, and the sources that settings name."""

from pathlib import Path
from typing import Any, Final

import pytest

from builders import manifest
from modelward.errors import InvalidSettings
from modelward.sampling.models import BaselineModels, sampling, steady_clock
from modelward.sampling.subject import Endpoint
from modelward.sampling.supervisor import Supervisor
from modelward.settings import MetricSource, MetricsSettings
from support.memory_cluster import KEY, MemoryCluster

SHOWN: Final[dict[str, Any]] = {
    "image": "registry.example.com/shop/fraud:1",
    "ports": {"http": 8080},
    "metrics": {"port": "http", "path": "/metrics"},
    "signals": {"errors": {"hits": 'hits{code="5"}', "total": "hits"}},
}
CANARY: Final = {"strategy": "Canary", "steps": [{"weightPercent": 50}], "stepMinSeconds": 600}


async def serving(**spec: Any) -> tuple[MemoryCluster, BaselineModels]:
    """A model that serves, and what may be read of it."""
    cluster = MemoryCluster()
    cluster.create(manifest("1", **{"runtime": SHOWN, **spec}))
    await cluster.run_until_quiet()
    return cluster, BaselineModels(cluster.store)


async def test_a_model_with_signals_is_read_at_its_pods() -> None:
    """As many as there are now."""
    cluster, at_rest = await serving()
    baseline_model = at_rest.model_of(KEY)
    assert baseline_model
    assert baseline_model.side.endpoint == Endpoint(port=8080, path="/metrics")
    assert baseline_model.pods == len(at_rest.pods(KEY)) == 2
    cluster.spec(replicas=3)
    await cluster.run_until_quiet()
    again = at_rest.model_of(KEY)
    assert again
    assert again.pods == 3


async def test_another_revision_is_another_reading() -> None:
    """What was known of the first counts no more."""
    cluster, at_rest = await serving()
    before = at_rest.model_of(KEY)
    cluster.spec(model={"version": "2"})
    for _ in range(5):
        await cluster.after(10.0)
    after = at_rest.model_of(KEY)
    assert before
    assert after
    assert after.side.revision == cluster.status()["stableRevision"] != before.side.revision


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"runtime": {"image": "registry.example.com/shop/fraud:1"}}, id="no signals"),
        pytest.param({"analysis": {"source": "prometheus"}}, id="judged by another source"),
    ],
)
async def test_a_model_that_shows_nothing_is_not_read(spec: dict[str, Any]) -> None:
    """There would be nothing to remember."""
    _, at_rest = await serving(**spec)
    assert at_rest.model_of(KEY) is None


async def test_a_model_in_a_rollout_is_not_read_beside_it() -> None:
    """It is read by the rollout itself."""
    cluster, at_rest = await serving(rollout=CANARY)
    cluster.spec(model={"version": "2"})
    for _ in range(10):
        await cluster.after(2.0)
    assert cluster.status()["rollout"]["weightPercent"]
    assert at_rest.model_of(KEY) is None


async def test_a_model_that_goes_or_says_nothing_is_not_read() -> None:
    """Unknown, unreadable, deleted."""
    cluster, at_rest = await serving()
    assert at_rest.model_of(("shop", "other")) is None
    assert at_rest.pods(("shop", "other")) == ()
    cluster.spec(replicas="many")
    cluster.watch()
    assert at_rest.model_of(KEY) is None
    cluster.spec(replicas=2)
    cluster.watch()
    assert at_rest.model_of(KEY)
    cluster.delete("ModelDeployment", "fraud")
    cluster.watch()
    assert at_rest.model_of(KEY) is None


async def test_a_model_whose_snapshot_is_gone_is_not_read() -> None:
    """Nobody knows what its pods show."""
    cluster, at_rest = await serving()
    cluster.delete("ControllerRevision", cluster.child())
    cluster.watch()
    assert at_rest.model_of(KEY) is None


async def test_sources_of_settings_are_there_by_their_names() -> None:
    """With their delays; all is closed at the end."""
    settings = MetricsSettings(
        sources=(MetricSource(name="prom", url="http://127.0.0.1:9090", delay_seconds=7),)
    )
    async with sampling(MemoryCluster().store, settings, lambda _: None, Supervisor()) as (sampler, _):
        assert sampler.sources["prom"].delay_seconds == 7


async def test_a_ca_file_that_is_none_is_a_wrong_setting(tmp_path: Path) -> None:
    """Said with the name of the source, at the start."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    for path in (file, tmp_path / "none"):
        settings = MetricsSettings(
            sources=(MetricSource(name="prom", url="https://127.0.0.1:9090", ca_file=str(path)),)
        )
        with pytest.raises(InvalidSettings, match=r"metrics\.sources prom: caFile"):
            async with sampling(MemoryCluster().store, settings, lambda _: None, Supervisor()):
                pass


def test_the_clock_never_goes_back() -> None:
    """Whatever happens to the one on the wall."""
    clock = steady_clock()
    first = clock()
    assert clock() >= first
