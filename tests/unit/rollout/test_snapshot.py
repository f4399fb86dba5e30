"""Snapshots: what is pinned, and what stands in the way."""

import msgspec

from builders import make_model, make_observed, make_revision, make_runtime, make_status, revision_name
from modelward.api.conditions import Blocked, Reason
from modelward.api.revision import Revision
from modelward.rollout.snapshot import take_snapshot


def test_a_snapshot_pins_words_runtime_and_template() -> None:
    """Neither a new operator nor a changed runtime changes it any more."""
    model = make_model("1", model={"format": "onnx"}, runtime=None)
    observed = make_observed(model, runtimes=[make_runtime()])
    taken = take_snapshot(observed, {}, make_status(), "somename")
    assert isinstance(taken, Revision)
    assert taken.spec == {"model": {"format": "onnx"}}
    assert taken.runtime["name"] == "onnx"
    assert taken.template["spec"]["containers"][0]["image"] == "registry.example.com/onnx:1"
    assert msgspec.json.decode(msgspec.json.encode(taken.template)) == taken.template


def test_a_known_revision_is_not_rendered_anew() -> None:
    """It comes back exactly as it was."""
    known = make_revision("1")
    taken = take_snapshot(make_observed(make_model("1")), {known.name: known}, make_status(), known.name)
    assert taken is known


def test_numbers_rise() -> None:
    """The newest revision has the highest number."""
    known = {"x": make_revision("1", number=7)}
    taken = take_snapshot(make_observed(make_model("2")), known, make_status(), revision_name("2"))
    assert isinstance(taken, Revision)
    assert taken.number == 8


def test_a_model_in_storage_is_refused_with_the_remedy() -> None:
    """Where no image is named that fetches: a pod without its model must not go out."""
    model = make_model("1", model={"format": "onnx", "uri": "s3://models/fraud/7"})
    taken = take_snapshot(make_observed(model), {}, make_status(), "somename")
    assert isinstance(taken, Blocked)
    assert taken.reason is Reason.FETCH_NOT_CONFIGURED
    assert taken.message.startswith("spec.model.uri:")
