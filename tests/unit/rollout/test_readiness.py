"""Ready or not, and in which words."""

from typing import Any

import pytest

from builders import before, make_deployment, make_model, make_observed, make_pod, make_status, revision_name
from modelward.rollout import readiness
from modelward.rollout.capacity import sizes
from modelward.rollout.observed import Deployment, Observed

A, B = revision_name("1"), revision_name("2")


def seen(deployment: Deployment | None, *pods: Any, **spec: Any) -> Observed:
    """A model whose stable revision A has this Deployment and these pods."""
    model = make_model("1", status=make_status(A), **spec)
    return make_observed(model, *([deployment] if deployment else []), pods=pods)


def ready(observed: Observed) -> bool:
    """Whether A is ready."""
    return readiness.is_ready(observed, observed.model.status, A)


def wake_after(observed: Observed) -> float | None:
    """After how many seconds its pods are read again."""
    status = observed.model.status
    return readiness.wake_after(observed, status, sizes(observed, status))


@pytest.mark.parametrize(
    ("deployment", "spec", "expected"),
    [
        pytest.param(None, {}, False, id="a Deployment that nobody has seen is not ready"),
        pytest.param(make_deployment(A, replicas=2, ready=2), {}, True, id="all pods ready"),
        pytest.param(make_deployment(A, replicas=2, ready=1), {}, False, id="one pod missing"),
        pytest.param(make_deployment(A, replicas=3, ready=3), {}, False, id="not scaled down yet"),
        pytest.param(make_deployment(A, replicas=0, ready=0), {"replicas": 0}, True, id="none are asked for"),
        pytest.param(
            make_deployment(A, replicas=0, ready=0),
            {"autoscaling": {"maxReplicas": 5}},
            False,
            id="an autoscaled model needs a pod",
        ),
        pytest.param(
            make_deployment(A, replicas=5, ready=5),
            {"autoscaling": {"maxReplicas": 5}},
            True,
            id="whatever number the autoscaler has set",
        ),
    ],
)
def test_is_ready(deployment: Deployment | None, spec: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    """Every pod that should be there is ready."""
    assert ready(seen(deployment, **spec)) is expected


def test_only_revisions_that_are_late_have_their_pods_read() -> None:
    """A pod that is ready within five seconds costs no request."""
    young = make_deployment(A, ready=0, age=4.9)
    old = make_deployment(B, ready=0, age=5)
    fine = make_deployment("fine", ready=2)
    observed = make_observed(make_model("1"), young, old, fine)
    assert readiness.unready_revisions(observed) == (B,)


@pytest.mark.parametrize(
    ("deployment", "pods", "words"),
    [
        pytest.param(make_deployment(A, ready=0), [], "starting", id="nothing is known to be wrong"),
        pytest.param(
            make_deployment(A, ready=0, failure="exceeded quota"),
            [make_pod(A, problem="hidden")],
            "pods cannot be created: exceeded quota",
            id="pods that cannot even be created come first",
        ),
        pytest.param(
            make_deployment(A, ready=0),
            [make_pod(A, problem="no such file"), make_pod(A, problem="no such file")],
            "no such file",
            id="the same problem is reported once",
        ),
        pytest.param(
            make_deployment(A, ready=0),
            [make_pod(A, problem=text) for text in "dcba"],
            "a; b; c",
            id="three problems at most, in one order",
        ),
        pytest.param(
            make_deployment(A, ready=1),
            [make_pod(A, ready=True, problem="was slow")],
            "starting",
            id="a ready pod has no problem",
        ),
        pytest.param(
            make_deployment(A, ready=0),
            [make_pod(B, problem="another revision's")],
            "starting",
            id="other revisions do not count",
        ),
    ],
)
def test_what_keeps(deployment: Deployment, pods: list[Any], words: str) -> None:
    """One phrase for the condition; it does not change while nothing changes."""
    assert readiness.what_keeps(seen(deployment, *pods), A) == words


def test_overdue_names_deadline_and_cause() -> None:
    """So that a reader need not reconcile further."""
    pods = [make_pod(A, scheduled=31, problem="no such file"), make_pod(A, scheduled=30, problem="")]
    observed = seen(make_deployment(A, ready=0), *pods, rollout={"progressDeadlineSeconds": 30})
    expected = "not ready 30 s after its pods were scheduled (no such file)"
    assert readiness.overdue(observed, A) == expected


@pytest.mark.parametrize(
    ("age", "seconds"),
    [
        pytest.param(0, 5.0, id="at first after five seconds"),
        pytest.param(40, 10.0, id="then at a quarter of the age"),
        pytest.param(4000, 60.0, id="at least once a minute"),
    ],
)
def test_pods_are_read_more_slowly_with_age(age: float, seconds: float) -> None:
    """A revision that is broken for days must not cost a request every second."""
    observed = seen(make_deployment(A, ready=0, age=age))
    assert wake_after(observed) == seconds


def test_nothing_is_read_again_while_all_is_well() -> None:
    """A quiet model asks for no reconcile."""
    observed = seen(make_deployment(A))
    assert wake_after(observed) is None


@pytest.mark.parametrize(
    ("pods", "late"),
    [
        pytest.param([make_pod(A, scheduled=None), make_pod(A, scheduled=30)], True, id="its own clock each"),
        pytest.param([make_pod(A, scheduled=None)], False, id="no node, for ever"),
        pytest.param([make_pod(A, scheduled=29)], False, id="not yet"),
        pytest.param([make_pod(A, scheduled=500, ready=True)], False, id="ready long ago"),
        pytest.param([make_pod(A, scheduled=500, failed="Evicted")], False, id="another one takes its place"),
        pytest.param(
            [make_pod(A, scheduled=500, ready_since=before(3))], False, id="it was ready until just now"
        ),
        pytest.param([], False, id="nothing was seen"),
    ],
)
def test_each_pod_has_its_deadline(pods: list[Any], late: bool) -> None:  # noqa: FBT001 - a parametrized case
    """From its node, or from the loss of its readiness; a pod without a node holds up no other."""
    observed = seen(make_deployment(A, ready=0), *pods, rollout={"progressDeadlineSeconds": 30})
    assert bool(readiness.overdue(observed, A)) is late
