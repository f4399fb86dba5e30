"""Which model a revision has: what its first pod reports, recorded once; every other pod is compared with that."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from builders.observed import (
    before,
    make_deployment,
    make_model,
    make_observed,
    make_pod,
    make_revision,
    make_status,
)
from modelward.api.conditions import ConditionType, Reason
from modelward.api.fetch_report import FetchReport, Identity, read_report
from modelward.api.revision import revision_fields, revision_hash
from modelward.api.status import FetchedModel, ModelDeploymentStatus, RolloutStatus
from modelward.rollout import conditions
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.phases import Phase
from modelward.runtimes.fetching import FetchPolicy
from modelward.runtimes.render import Subject, render_template

POLICY = FetchPolicy(image="registry.example.com/fetch:1")
ONE, TWO = {"version": "1", "uri": "s3://m/1"}, {"version": "2", "uri": "s3://m/2"}
SHA, OTHER = (f"sha256:{each * 64}" for each in "ab")


def _revision(model: dict[str, str], number: int) -> Any:
    made = make_model(model=model)
    found = make_revision(model=model, number=number)
    template = render_template(
        Subject(model="fraud", revision=found.name, spec=made.spec), _runtime(), POLICY
    )
    return replace(found, template=template)


def _runtime() -> Any:
    from modelward.runtimes.choose import own_image  # noqa: PLC0415 - of this builder alone

    return own_image("registry.example.com/shop/fraud:1").spec


A, B = _revision(ONE, 1), _revision(TWO, 2)


def report(**fields: Any) -> FetchReport:
    """What a pod reports; by default a success."""
    done = {"result": "Fetched", "resolved": "s3://m/1?versionId=7", "identity": "Pinned", "digest": SHA}
    found = read_report(json.dumps(done | {"listing": SHA, "files": 1, "bytes": 10} | fields))
    assert found
    return found


def failed(reason: str = "NotFound", message: str = "s3://m/2 does not exist") -> FetchReport:
    """What a pod reports that could not fetch."""
    return report(result="Failed", reason=reason, message=message, remedy="Check it.", digest="")


def pod(
    name: str, revision: Any, fetched: FetchReport | None, *, ready: bool = True, age: float = 60.0
) -> Pod:
    """A pod that was made so many seconds ago."""
    return make_pod(revision.name, name=name, ready=ready, fetched=fetched, created=before(age))


def serving(*pods: Pod, **status: Any) -> Observed:
    """Revision A serves with these pods."""
    model = make_model(model=ONE, status=make_status(A.name, **status), rollout={})
    observed = make_observed(model, make_deployment(A.name), selects=A.name, revisions=(A,), pods=pods)
    return replace(observed, fetched_pods=pods, fetch=POLICY)


def rolling(*pods: Pod, phase: Phase = Phase.SCALING_UP, **status: Any) -> Observed:
    """Revision B is on its way beside A."""
    rollout = RolloutStatus(state=phase, start_time="2026-11-22T11:50:00.000000Z")
    known = make_status(A.name, canary_revision=B.name, rollout=rollout, **status)
    model = make_model(model=TWO, status=known, rollout={})
    observed = make_observed(
        model,
        make_deployment(A.name),
        make_deployment(B.name, ready=0),
        selects=A.name,
        revisions=(A, B),
        pods=pods,
    )
    return replace(observed, fetched_pods=pods, fetch=POLICY)


def deploying(*pods: Pod) -> Observed:
    """Revision A is the first."""
    rollout = RolloutStatus(state=Phase.DEPLOYING, start_time="2026-11-22T11:50:00.000000Z")
    model = make_model(model=ONE, status=make_status(A.name, rollout=rollout), rollout={})
    observed = make_observed(
        model, make_deployment(A.name, ready=0), selects=A.name, revisions=(A,), pods=pods
    )
    return replace(observed, fetched_pods=pods, fetch=POLICY)


def _events(decision: Decision) -> list[str]:
    return [each.reason for each in decision.announcements]


def _condition(observed: Observed, kind: ConditionType) -> Any:
    complete = conditions.complete(observed, decide(observed))
    return next((each for each in complete.conditions if each.type == kind), None)


KNOWN = FetchedModel(
    revision=A.name,
    uri="s3://m/1?versionId=7",
    digest=SHA,
    listing=SHA,
    identity=Identity.PINNED,
    files=1,
    bytes=10,
)


def test_the_first_report_is_recorded_and_shown() -> None:
    """Of the pod that was made first; in status, in the column MODEL, by an Event."""
    observed = serving(pod("b", A, report(digest=OTHER), age=50), pod("a", A, report()))
    decision = decide(observed)
    assert [(each.revision, each.digest, each.uri) for each in decision.status.fetched] == [
        (A.name, SHA, "s3://m/1?versionId=7")
    ]
    assert "ModelFetched" in _events(decision)
    assert conditions.complete(observed, decision).model_uri == "s3://m/1?versionId=7"


def test_the_record_is_never_replaced() -> None:
    """Not by pods that come later, nor when the first one is gone."""
    decision = decide(serving(pod("b", A, report(digest=OTHER)), fetched=(KNOWN,)))
    assert decision.status.fetched[0].digest == SHA
    assert "ModelFetched" not in _events(decision)


def test_a_lost_status_is_read_from_the_snapshot() -> None:
    """A restored backup: what was recorded is noted there."""
    observed = serving()
    noted = replace(A, fetched=KNOWN, noted=KNOWN)
    decision = decide(replace(observed, revisions={A.name: noted}))
    assert decision.status.fetched == (KNOWN,)


def test_another_digest_is_reported_and_no_running_pod_is_taken_away() -> None:
    """Of stable: a condition and one Warning."""
    observed = serving(pod("a", A, report()), pod("b", A, report(digest=OTHER)), fetched=(KNOWN,))
    decision = decide(observed)
    assert decision.status.stable_revision == A.name
    assert decision.status.rollout is None
    assert "ModelChanged" in _events(decision)
    changed = _condition(observed, ConditionType.MODEL_CHANGED)
    assert changed.status == "True"
    assert "pod b has sha256:bbbbbbbbbbbb" in changed.message
    again = replace(observed, model=replace(observed.model, status=decision.status))
    assert _events(decide(again)) == []


def test_a_pod_that_cannot_get_the_model_any_more_is_reported_as_changed() -> None:
    """It fails with ModelChanged, because the pin is followed."""
    late = pod("b", A, failed("ModelChanged", "other bytes"), ready=False)
    observed = serving(pod("a", A, report()), late, fetched=(KNOWN,))
    assert {"ModelChanged", "SourceMoved"} <= set(_events(decide(observed)))
    assert "pod b cannot get the model any more" in _condition(observed, ConditionType.MODEL_CHANGED).message


def test_the_conditions_go_when_the_pods_have_gone() -> None:
    """Everything is computed from what is there."""
    reported = msgspec.structs.replace(KNOWN, source_moved=True, changed="pod b has other bytes")
    observed = serving(pod("a", A, report()), fetched=(reported,))
    assert _condition(observed, ConditionType.MODEL_CHANGED) is None
    assert _condition(observed, ConditionType.SOURCE_MOVED) is None


@pytest.mark.parametrize(
    ("identity", "words"),
    [("Pinned", None), ("Mutable", "can be overwritten"), ("NotCovered", "are not read")],
)
def test_a_store_that_can_promise_nothing_says_so(identity: str, words: str | None) -> None:
    """From the first deployment on."""
    observed = serving(pod("a", A, report(identity=identity)))
    found = _condition(observed, ConditionType.SOURCE_MUTABLE)
    assert (found is None) if words is None else (words in found.message)


def test_a_moved_source_of_a_claim_is_seen_by_its_listing() -> None:
    """Contents are not read; names, sizes and times are."""
    claim = msgspec.structs.replace(KNOWN, digest="", identity=Identity.NOT_COVERED)
    late = pod("b", A, report(digest="", identity="NotCovered", listing=OTHER))
    observed = serving(late, fetched=(claim,))
    assert _condition(observed, ConditionType.SOURCE_MOVED).status == "True"
    assert _condition(observed, ConditionType.MODEL_CHANGED) is None


@pytest.mark.parametrize(
    "reason", ["NotFound", "Denied", "ModelChanged", "NoSpace", "Timeout", "UnsafeArchive"]
)
def test_a_canary_whose_model_cannot_be_fetched_goes_back_with_reason_and_remedy(reason: str) -> None:
    """At once: the program has tried again by itself what may work the next time."""
    decision = decide(rolling(pod("b", B, failed(reason), ready=False)))
    status = decision.status
    assert status.canary_revision == ""
    assert status.rejected_revisions[0].reason == reason
    assert f"({reason}): s3://m/2 does not exist. Check it" in status.rejected_revisions[0].message
    assert "RolledBack" in _events(decision)


def test_a_canary_with_two_models_goes_back() -> None:
    """Its pods were started at once, and the source moved between them."""
    decision = decide(rolling(pod("b", B, report()), pod("c", B, report(digest=OTHER), age=50)))
    assert decision.status.rejected_revisions[0].reason == Reason.MODEL_CHANGED


def test_what_the_canary_had_is_in_history() -> None:
    """Resolved, with its digest."""
    decision = decide(rolling(pod("b", B, report()), pod("c", B, report(digest=OTHER), age=50)))
    entry = decision.status.history[0]
    assert (entry.model_uri, entry.model_digest) == ("s3://m/1?versionId=7", SHA)


def test_a_first_deployment_says_why_and_that_it_is_tried_again() -> None:
    """Nothing is rejected: the kubelet starts the container anew."""
    observed = deploying(pod("a", A, failed(), ready=False))
    decision = decide(observed)
    assert decision.status.rejected_revisions == ()
    ready = _condition(observed, ConditionType.READY)
    assert (ready.status, ready.reason) == ("False", "NotFound")
    assert ready.message.endswith("Check it. It is tried again by itself.")
    assert _condition(observed, ConditionType.STALLED).reason == "NotFound"


def test_an_init_container_that_cannot_fetch_is_no_crash_of_the_model() -> None:
    """After a promotion a pod that an autoscaler adds may not find its model: the running ones go on serving."""
    known = make_status(
        B.name,
        previous_revision=A.name,
        rollout=RolloutStatus(
            state=Phase.WATCHING,
            start_time="2026-11-22T11:50:00.000000Z",
            step_start_time="2026-11-22T11:59:00.000000Z",
            weight_percent=100,
        ),
    )
    late = replace(pod("c", B, failed("Denied"), ready=False), crash_looping="fetch-model", init_restarts=6)
    observed = make_observed(
        make_model(model=TWO, status=known, rollout={}),
        make_deployment(A.name),
        make_deployment(B.name, replicas=3, ready=2),
        selects=B.name,
        revisions=(A, B),
        pods=(pod("b", B, report()), late, pod("a", A, report())),
    )
    decision = decide(replace(observed, fetched_pods=observed.pods, fetch=POLICY))
    assert decision.status.stable_revision == B.name


def test_progress_is_reported_while_a_pod_fetches() -> None:
    """As far as it is known; a NetworkPolicy may be in the way."""
    waits = replace(pod("a", A, None, ready=False), fetching=True)
    observed = deploying(waits)
    assert "fetching its model, progress unknown" in _condition(observed, ConditionType.READY).message
    reported = replace(observed, progress={"a": "fetching 60 % of 1.3 GiB, about 20 s"})
    assert "fetching 60 % of 1.3 GiB, about 20 s" in _condition(reported, ConditionType.READY).message


def test_a_restart_keeps_the_model_and_a_refresh_does_not() -> None:
    """What a moving name means by now is for a refresh to send out."""
    for command, kept in (("restart", True), ("refresh", False)):
        observed = serving(pod("a", A, report()), fetched=(KNOWN,))
        model = make_model(
            model=ONE, status=make_status(A.name, fetched=(KNOWN,)), rollout={}, commands={command: "1"}
        )
        decision = decide(replace(observed, model=model))
        canary = decision.status.canary_revision
        assert canary
        found = [each.digest for each in decision.status.fetched if each.revision == canary]
        assert found == ([SHA] if kept else [])


def test_without_an_image_that_fetches_nothing_is_started() -> None:
    """The administrator has to name one."""
    observed = make_observed(make_model(model=ONE))
    decision = decide(observed)
    assert decision.blocked
    assert decision.blocked.reason is Reason.FETCH_NOT_CONFIGURED
    assert decision.status.stable_revision == ""


def test_revisions_of_models_without_a_uri_keep_their_names() -> None:
    """What was deployed before models were fetched must not be rolled out anew."""
    spec = {"model": {"format": "onnx", "version": "1"}, "runtime": {"name": "onnx"}, "resources": {}}
    assert revision_hash(revision_fields(spec)) == "2hcl46w5cx"
    spec = {"model": {"version": "1"}, "runtime": {"image": "registry.example.com/shop/fraud:1"}}
    assert revision_hash(revision_fields(spec)) == "twb96htmvp"


def test_status_of_a_model_that_is_not_fetched_says_nothing_of_it() -> None:
    """No field, no condition, no Event."""
    observed = make_observed(
        make_model(status=make_status(make_revision().name)),
        make_deployment(make_revision().name),
        selects=make_revision().name,
        revisions=(make_revision(),),
    )
    complete = conditions.complete(observed, decide(observed))
    assert (complete.fetched, complete.model_uri) == ((), "")
    assert isinstance(complete, ModelDeploymentStatus)


@pytest.mark.parametrize("phase", [Phase.SCALING_UP, Phase.ANALYZING])
def test_a_pin_that_somebody_planted_does_not_choose_a_canarys_model(phase: Phase) -> None:
    """Nothing of ours can have been there before the first pod: it goes back, and the message names the ConfigMap."""
    decision = decide(rolling(pod("b", B, report(pinned=True)), phase=phase))
    (entry,) = decision.status.rejected_revisions
    assert entry.reason == Reason.MODEL_CHANGED
    assert f"kubectl delete configmap fraud-{B.name} -n shop" in entry.message
    assert decision.status.fetched == ()


def test_a_pin_that_somebody_planted_does_not_choose_a_first_model() -> None:
    """It is reported, and nothing is recorded until a pod has reconciled by itself."""
    observed = deploying(pod("a", A, report(pinned=True), ready=False))
    assert decide(observed).status.fetched == ()
    ready = _condition(observed, ConditionType.READY)
    assert (ready.reason, ready.status) == ("ModelChanged", "False")
    by_itself = deploying(pod("a", A, report(pinned=True, digest=OTHER)), pod("b", A, report(), age=50))
    assert decide(by_itself).status.fetched[0].digest == SHA


def test_what_serves_is_believed_when_all_memory_is_lost() -> None:
    """Status and snapshot are gone; the pods follow the pin that was ours."""
    decision = decide(serving(pod("a", A, report(pinned=True))))
    assert decision.status.fetched[0].digest == SHA
