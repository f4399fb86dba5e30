"""The metrics page."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from builders import make_status, manifest
from modelward import __version__
from modelward.api.decode import encode
from modelward.api.status import Condition, ModelDeploymentStatus, RolloutStatus
from modelward.cache.store import Store
from modelward.controller.metrics import Metrics
from modelward.controller.rollout_slots import Fleet
from modelward.rollout.fleet import Limits
from unit.api.strategies import objects


def filled() -> Store:
    """A store with one model in a rollout."""
    conditions = tuple(
        Condition(type=kind, status=status, last_transition_time="2026-11-22T12:00:00Z")
        for kind, status in (("Ready", "Unknown"), ("Available", "True"), ("Stalled", "False"))
    )
    status = make_status(
        "a", canary_revision="b", conditions=conditions, rollout=RolloutStatus(weight_percent=25)
    )
    raw = manifest("1")
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1"}
    store = Store()
    store.put({**raw, "status": encode(status)})
    return store


def samples(store: Store) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of the labels' names."""
    text = generate_latest(Metrics(store).registry).decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_model_shows_its_revisions_its_weight_and_its_conditions() -> None:
    """1 True, 0 False, -1 Unknown."""
    found = samples(filled())
    assert found["modelward_model_info", "b", "fraud", "shop", "a"] == 1
    assert found["modelward_canary_weight_percent", "fraud", "shop"] == 25
    conditions = {key[3]: value for key, value in found.items() if key[0] == "modelward_condition"}
    assert conditions == {"Ready": -1, "Available": 1, "Stalled": 0}


def test_a_deleted_model_leaves_nothing_behind() -> None:
    """Metrics of models are made when they are asked for."""
    store = filled()
    store.remove("ModelDeployment", "shop", "fraud", "u")
    assert not [key for key in samples(store) if "fraud" in key]


def test_the_version_is_shown() -> None:
    """For the question which operator runs where."""
    assert samples(Store())["modelward_build_info", __version__] == 1


def test_every_name_begins_alike_and_is_described() -> None:
    """Dashboards find them; a reader understands them."""
    families = list(Metrics(filled()).registry.collect())
    assert all(family.name.startswith("modelward_") for family in families)
    assert all(family.documentation.endswith((".", "Unknown.")) for family in families)


def test_labels_stay_bounded() -> None:
    """Namespace and name of a model, closed sets: never a pod, a revision's hash only where it is replaced."""
    allowed = {"namespace", "name", "type", "stable", "canary", "result", "reason", "verb", "code", "kind"}
    metrics = Metrics(filled())
    metrics.count_request("get", "200")
    labels = {
        label for family in metrics.registry.collect() for each in family.samples for label in each.labels
    }
    assert labels - {"le", "version"} <= allowed


def test_f04_readings_that_are_begun_again_and_their_age_are_shown() -> None:
    """Of the process: 0 while nothing is judged by metrics."""
    found = samples(filled())
    assert found["modelward_sampling_restarts_total",] == 0
    assert found["modelward_sampling_age_seconds",] == 0


# --- F21: a status that a hand, or another version, has written ---------------------------------------------

RICH: Final[dict[str, Any]] = {
    "observedGeneration": 1,
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "Queued", "lastTransitionTime": "2026-11-22T12:00:00Z"},
        {"type": "Available", "status": "True", "lastTransitionTime": "2026-11-22T12:00:00Z"},
    ],
    "stableRevision": "bcdfghjklm",
    "canaryRevision": "npqrstvwxz",
    "previousRevision": "",
    "rejectedRevisions": [
        {"revision": "b", "content": "b", "reason": "RolledBack", "time": "2026-11-22T12:00:00Z"}
    ],
    "decision": 3,
    "revisionNonce": 1,
    "rollout": {"state": "Analyzing", "step": 1, "weightPercent": 5, "startTime": "2026-11-22T12:00:00Z"},
    "analysis": {
        "lastSampleTime": "2026-11-22T12:00:00Z",
        "odds": "3.2",
        "metrics": [{"name": "errors", "canaryRate": "0.1", "stableRate": "0.1", "odds": "3"}],
        "state": "x",
    },
    "history": [{"revision": "b", "result": "Promoted", "startTime": "2026-11-22T12:00:00Z"}],
    "commands": {"abort": "x"},
    "scaling": {"heldReplicas": 3},
    "replicas": 3,
    "readyReplicas": 3,
    "selector": "a=b",
    "url": "http://fraud",
}
ODD: Final[tuple[Any, ...]] = (
    "many", "", "NaN", "inf", "-1e999", "1_0", "\u0661", "0x10", "a\nb 1", '"', "\\", "\ud800", "x" * 300, "True",
    0, -1, 2**63, 1.5, True, None, [], {}, ["many"], {"odds": "many"}, [{}], [None],
)  # fmt: skip


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON object."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*at, key)
        yield from paths(item, (*at, key))


def having(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    """The same JSON with another value there."""
    if not at:
        return odd
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[at[0]] = having(copied[at[0]], at[1:], odd)
    return copied


def beside(status: Any) -> Store:
    """A store with the model of before, and with one that has this status."""
    store, raw = filled(), manifest("1", name="odd")
    raw["metadata"] |= {"uid": "v", "resourceVersion": "2", "namespace": "another"}
    store.put({**raw, "status": status})
    return store


@pytest.mark.parametrize("at", [pytest.param(at, id=".".join(map(str, at))) for at in paths(RICH)])
def test_f21_no_value_of_one_status_touches_the_page_or_the_queue_of_others(at: tuple[Any, ...]) -> None:
    """Whatever stands in a field of it: the page is whole, and says of the other model what it said before."""
    alone = {key: value for key, value in samples(filled()).items() if "fraud" in key}
    for odd in ODD:
        store = beside(having(RICH, at, odd))
        page = samples(store)
        assert {key: value for key, value in page.items() if "fraud" in key} == alone
        fleet = Fleet(store, Limits(fleet=2))
        fleet.finished(("another", "odd"))
        list(fleet.next())
        assert set(store.models()) == {("shop", "fraud"), ("another", "odd")}


@pytest.mark.parametrize(
    "twice",
    [
        {"conditions": [*RICH["conditions"], *RICH["conditions"]]},
        {
            "analysis": {
                "metrics": [{"name": "errors", "canaryRate": "1"}, {"name": "errors", "canaryRate": "2"}]
            }
        },
    ],
    ids=["conditions", "metrics"],
)
def test_f21_no_series_comes_twice(twice: dict[str, Any]) -> None:
    """Prometheus refuses the whole page that has one twice."""
    page = generate_latest(Metrics(beside({**RICH, **twice})).registry).decode().splitlines()
    series = [line.rpartition(" ")[0] for line in page if not line.startswith("#")]
    assert len(series) == len(set(series))


@given(status=objects(ModelDeploymentStatus))
def test_f21_no_status_that_the_crd_takes_breaks_the_page(status: dict[str, Any]) -> None:
    """Any of them, all fields at once."""
    assert samples(beside(status))["modelward_canary_weight_percent", "fraud", "shop"] == 25
