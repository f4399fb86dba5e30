"""F18: every sentence that claims something is true of what was observed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import NAME, NAMESPACE
from builders.rollouts import A, B, recorded, rolling
from golden.acts import create, other, stable
from golden.script import judged
from modelward.analysis.counters import Increment, RatioCounts, Sample
from modelward.analysis.noise import MetricReference, Reference
from modelward.analysis.sampled_evidence import Evidence
from modelward.api.names import REVISION_LABEL
from modelward.api.objects import Manifest
from modelward.api.times import format_seconds, parse
from modelward.cache import convert
from modelward.rollout import conditions
from modelward.rollout.decide import decide
from modelward.rollout.decision import Decision
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.phases import Phase
from modelward.simulator.simulation import Simulation
from unit.rollout.events import ERRORS

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


# --- a model that needs longer than startupSeconds ----------------------------------------------------------


def at(second: float) -> str:
    """A time of the kubelet."""
    return (START + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def ended(ran: float, *, ready_changed: float = 0, reason: str = "Completed", **words: Any) -> Pod:
    """A pod whose server was started at 2 s and ended after `ran`; it has 60 s to get ready."""
    over = {"exitCode": 0, "reason": reason, "startedAt": at(2), "finishedAt": at(2 + ran), **words}
    return convert.pod(
        {
            "metadata": {"name": "p", "labels": {REVISION_LABEL: B}},
            "spec": {
                "containers": [
                    {"name": "server", "startupProbe": {"failureThreshold": 60, "periodSeconds": 1}}
                ]
            },
            "status": {
                "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(ready_changed)}],
                "containerStatuses": [
                    {"name": "server", "ready": False, "restartCount": 1, "lastState": {"terminated": over}}
                ],
            },
        }
    )


STOPPED = "was stopped by the kubelet, because it was not ready within startupSeconds 60"


@pytest.mark.parametrize("ran", [59, 60, 61, 95])
def test_f18_who_is_stopped_because_it_is_not_ready_is_reported_as_such(ran: float) -> None:
    """The exit code alone reads as if the server had ended by itself."""
    pod = ended(ran)
    assert pod.problem == f"server: {STOPPED} (exit code 0 (Completed))"
    assert pod.ended is not None
    assert pod.ended.overdue_seconds == 60


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(ended(5), id="it ended by itself, earlier"),
        pytest.param(ended(300, ready_changed=200), id="it was ready, and lost it"),
        pytest.param(ended(61, reason="OOMKilled", exitCode=137), id="the kernel killed it"),
    ],
)
def test_f18_who_ended_by_itself_is_not_said_to_be_stopped(pod: Pod) -> None:
    """Nothing is claimed that was not seen."""
    assert "ended with exit code" in pod.problem
    assert STOPPED not in pod.problem


# --- edits of children --------------------------------------------------------------------------------------


def edited(edit: Any, *, subresource: str = "") -> list[Manifest]:
    """The Events about edits by hand, after one of the stable Deployment."""

    def do(sim: Simulation) -> None:
        sim.server.change(
            ("Deployment", NAMESPACE, f"{NAME}-{stable(sim)}"), "kubectl", edit, subresource=subresource
        )

    sim = Simulation((create(0, **judged(replicas=2)), other(30, "edits a Deployment", do)))
    sim.run(60)
    return [each for each in sim.server.find("Event") if each["reason"] == "DriftCorrected"]


def restart(raw: Manifest) -> None:
    """`kubectl rollout restart`."""
    raw["spec"]["template"]["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = (
        at(0)
    )


def set_image(raw: Manifest) -> None:
    """`kubectl set image`."""
    raw["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.com/other:2"


def scale(raw: Manifest) -> None:
    """`kubectl scale`."""
    raw["spec"]["replicas"] = 5


@pytest.mark.parametrize(
    ("edit", "subresource", "command"),
    [
        pytest.param(
            restart,
            "",
            f"kubectl annotate mwd {NAME} -n {NAMESPACE} --overwrite modelward.dev/restart=",
            id="restart",
        ),
        pytest.param(set_image, "", f"kubectl edit mwd {NAME} -n {NAMESPACE}", id="image"),
        pytest.param(scale, "scale", f"kubectl scale mwd {NAME} -n {NAMESPACE} --replicas=5", id="scale"),
    ],
)
def test_f18_whoever_edits_a_child_is_shown_what_to_do_instead(
    edit: Any, subresource: str, command: str
) -> None:
    """One Event, with the command."""
    (event,) = edited(edit, subresource=subresource)
    assert command in event["note"]
    assert "kubectl" in event["note"].partition(" and ")[0]


# --- every phase --------------------------------------------------------------------------------------------


def sentences(observed: Observed) -> list[str]:
    """All that is notified of a decision."""
    decision = decide(observed)
    made = conditions.complete(observed, decision)
    reported = [each.message for each in made.conditions] + [each.message for each in decision.announcements]
    return [*reported, made.rollout.message if made.rollout else ""]


@pytest.mark.parametrize("phase", Phase)
@given(
    ready=st.fixed_dictionaries({A: st.integers(0, 4), B: st.integers(0, 4)}),
    weight=st.sampled_from([0, 5, 25]),
)
def test_f18_what_is_said_of_pods_and_shares_is_so(phase: Phase, ready: dict[str, int], weight: int) -> None:
    """Who goes on serving has a ready pod, who has none does not, and without weight nobody has a share."""
    observed = rolling(phase, ready=ready, weight=weight if phase is not Phase.SERVING else None)
    made = conditions.complete(observed, decide(observed))
    for text in sentences(observed):
        for revision in re.findall(r"(\w{10}) goes on serving", text):
            assert observed.deployments[revision].ready > 0
        for revision in re.findall(r"(\w{10}) has no ready pod", text):
            assert revision not in observed.deployments or observed.deployments[revision].ready == 0
        if "Its share is about" in text:
            assert made.rollout is not None
            assert made.rollout.weight_percent > 0


# --- requests -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Requests of both revisions, and errors among them."""

    canary: int = 0
    canary_errors: int = 0
    stable: int = 0
    stable_errors: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(
            canary=self.canary + other.canary,
            canary_errors=self.canary_errors + other.canary_errors,
            stable=self.stable + other.stable,
            stable_errors=self.stable_errors + other.stable_errors,
        )

    def sampled(self, time: datetime, weight: int) -> Sample:
        """As the judge gets them."""
        canary = RatioCounts(hits=self.canary_errors, total=self.canary)
        stable = RatioCounts(hits=self.stable_errors, total=self.stable)
        return Sample(
            time=time.timestamp(),
            weight_percent=weight,
            metrics={"errors": Increment(canary=canary, stable=stable)},
        )


COUNTS: Final = st.builds(
    lambda canary, bad, stable, stable_bad: Counts(
        canary=canary, canary_errors=min(bad, canary), stable=stable, stable_errors=min(stable_bad, stable)
    ),
    st.one_of(st.just(0), st.integers(1, 400)),
    st.one_of(st.just(0), st.integers(0, 40)),
    st.integers(0, 900),
    st.integers(0, 3),
)
REFERENCE: Final = Reference(metrics={"errors": MetricReference(phis={60.0: 1.0}, hits=20, total=20_000)})
_STEP_BEGINS: Final = frozenset({"CanaryStarted", "StepAdvanced", "MetricsBack"})


@dataclass(slots=True)
class Account:
    """What was counted by the time of each sample: in the step, and in the whole rollout."""

    step: Counts = field(default_factory=Counts)
    total: Counts = field(default_factory=Counts)
    by_time: dict[str, tuple[Counts, Counts]] = field(default_factory=dict)
    lately: list[tuple[Counts, Counts]] = field(default_factory=list)
    """After each of the last samples: a verdict is about those up to the one that decided."""

    def count(self, observed: Observed, decision: Decision) -> None:
        """Take in what the decision has taken in."""
        analysis = decision.status.analysis
        if analysis is None or not analysis.last_sample_time:
            return
        last = parse(analysis.last_sample_time)
        taken = [each for each in observed.evidence.samples if each.time <= last.timestamp()]
        self.lately = [self._with(sample) for sample in taken] or self.lately
        self.by_time[format_seconds(last)] = self.step, self.total
        if any(each.reason in _STEP_BEGINS for each in decision.announcements):
            self.step = Counts()

    def _with(self, sample: Sample) -> tuple[Counts, Counts]:
        increment = sample.metrics["errors"]
        assert isinstance(increment.canary, RatioCounts)
        assert isinstance(increment.stable, RatioCounts)
        counts = Counts(
            canary=int(increment.canary.total),
            canary_errors=int(increment.canary.hits),
            stable=int(increment.stable.total),
            stable_errors=int(increment.stable.hits),
        )
        if self.total.canary or counts.canary:  # nothing is compared before the canary's first request
            self.step, self.total = self.step.plus(counts), self.total.plus(counts)
        return self.step, self.total

    def agrees(self, text: str) -> bool:
        """Whether what a sentence says of requests is what was counted by the time that it says, or lately."""
        said = re.findall(r"Measured until ([^ ]+)\.\)", text)
        known = [self.by_time[each] for each in said] or self.lately
        if not known:
            return set(claimed(text)) <= {"no"}
        return any(all(_is_so(claim, *counts) for claim in claimed(text)) for counts in known)


def _is_so(claim: str, step: Counts, total: Counts) -> bool:
    if "/" not in claim:
        return step.canary == (0 if claim == "no" else int(claim))
    rates = [
        rate
        for each in (step, total)
        for rate in (f"{each.canary_errors}/{each.canary}", f"{each.stable_errors}/{each.stable}")
    ]
    return claim in rates


def claimed(text: str) -> list[str]:
    """What a sentence says of requests: how many of the canary's, "no" of them, or `errors/requests`.

    Those that may be probes and scrapes are requests that were counted, too.
    """
    numbers = re.findall(
        r"\((\d+) requests(?: beyond (\d+)[^,]*)?,|(\d+) canary requests;|\((\d+/\d+)\)", text
    )
    found = [
        rates or counted or str(int(asked) + int(beyond or 0)) for asked, beyond, counted, rates in numbers
    ]
    return found + [beyond or "no" for beyond in re.findall(r"no canary request(?: beyond (\d+))?", text)]


def reconciled_again(observed: Observed, counts: Iterable[Counts]) -> Observed:
    """15 s later, with samples of the last seconds."""
    now = observed.now + timedelta(seconds=15)
    rollout = observed.model.status.rollout
    weight = rollout.weight_percent if rollout else 0
    samples = tuple(each.sampled(now - timedelta(seconds=5 * n), weight) for n, each in enumerate(counts))
    return replace(
        observed, now=now, evidence=Evidence(samples=tuple(reversed(samples)), reference=REFERENCE)
    )


@given(
    phase=st.sampled_from(Phase),
    reconciles=st.lists(st.lists(COUNTS, max_size=3), min_size=1, max_size=4),
    began=st.sampled_from([20, 700]),
)
def test_f18_what_is_said_of_requests_was_counted_by_the_time_that_is_said(
    phase: Phase, reconciles: list[list[Counts]], began: int
) -> None:
    """Also where what is said is older than what has been counted since: then it says of when it is."""
    observed, account = rolling(phase, analysis=ERRORS, began=began), Account()
    for counts in reconciles:
        observed = reconciled_again(observed, counts)
        decision = decide(observed)
        account.count(observed, decision)
        for text in sentences(observed):
            assert account.agrees(text), text
        rollout = decision.status.rollout
        if rollout and claimed(rollout.message):
            when = "Measured until" if account.by_time else "Nothing has been measured yet"
            assert when in rollout.message
        observed = recorded(observed, decision)
