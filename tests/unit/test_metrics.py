"""The metrics page."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from builders import make_status, manifest
from modelward import __version__
from modelward.api.decode import encode
from modelward.api.status import Condition, RolloutStatus
from modelward.metrics import Metrics
from modelward.store import Store


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
