"""What may happen to a rollout, as worlds: each event can be made to happen in every phase."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from builders import make_pod
from builders.observed import before
from builders.rollouts import STEPS, A, B, C, rolling
from modelward.analysis import judge
from modelward.analysis.policy import Policy
from modelward.analysis.sampled_evidence import Evidence, MetricsProblem, Unknown
from modelward.analysis.verdict import Assessment, Step, Verdict
from modelward.rollout.observed import Observed
from modelward.rollout.phases import Phase

Words = Mapping[str, Any]
ERRORS: Final = {"metrics": [{"name": "errors", "hits": "errors_total", "total": "requests_total"}]}
GUARD: Final = {"metrics": [{"name": "slo", "kind": "Guard", "limitPercent": "2", "signal": "errors"}]}
NO_METRICS: Final = Evidence(
    problem=MetricsProblem(reason=Unknown.REFUSED, message="nobody listens at port 8082 of any pod")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens; in a phase that waits for the judge, its old answer stands unless it is set."""

    verdict: Verdict | None = None
    metrics: bool | None = None
    """Whether metrics can be had; None: as the phase has it."""
    words: Words | Callable[[Phase], Words] = field(default_factory=dict)
    """Words of `rolling`."""


def newest(phase: Phase) -> str:
    """The revision that goes out, or has."""
    return A if phase in (Phase.SERVING, Phase.DEPLOYING) else B


def _late(phase: Phase, **policy: str) -> Words:
    ready = 0 if phase in (Phase.DEPLOYING, Phase.SCALING_UP) else 1
    return {
        "pods": [make_pod(newest(phase), scheduled=61)],
        "ready": {newest(phase): ready},
        "rollout": {"progressDeadlineSeconds": 60, **policy},
    }


def _without(metrics: Words) -> Event:
    return Event(verdict=Verdict.ADVANCE, metrics=False, words={"rollout": metrics})


def _inconclusive(**policy: str) -> Event:
    return Event(verdict=Verdict.INCONCLUSIVE, metrics=True, words={"rollout": policy})


def _command(name: str, value: Callable[[Phase], str] | str) -> Event:
    return Event(words=lambda phase: {"commands": {name: value if isinstance(value, str) else value(phase)}})


EVENTS: Final[dict[str, Event]] = {
    "nothing": Event(),
    # pods
    "pods ready": Event(words=lambda phase: {"ready": {newest(phase): 4}}),
    "pods lost": Event(words=lambda phase: {"ready": {newest(phase): 0}}),
    "stable is down": Event(words={"ready": {A: 0}}),
    "crash loop": Event(
        words=lambda phase: {"pods": [make_pod(newest(phase), crash_looping="s", restarts=2)]}
    ),
    "preempted": Event(
        words={
            "pods": [
                make_pod(A, scheduled=None, created=before(60), lacks=frozenset({"pods"})),
                make_pod(B, ready=True, holds=frozenset({"pods"}), priority=1),
            ]
        }
    ),
    "late": Event(words=_late),
    "late, Pause": Event(words=lambda phase: _late(phase, onDeadline="Pause")),
    # evidence
    "worse": Event(verdict=Verdict.ROLL_BACK, metrics=True),
    "worse, guard": Event(verdict=Verdict.ROLL_BACK, metrics=True, words={"analysis": GUARD}),
    "worse, unknown": Event(verdict=Verdict.ROLL_BACK, metrics=False),
    "advance": Event(verdict=Verdict.ADVANCE, metrics=True),
    "continue": Event(verdict=Verdict.CONTINUE, metrics=True),
    "hold": Event(verdict=Verdict.HOLD, metrics=True),
    "inconclusive": _inconclusive(),
    "incon., Promote": _inconclusive(onInconclusive="Promote"),
    "incon., RollBack": _inconclusive(onInconclusive="RollBack"),
    "metrics lost": _without({}),
    "lost, RollBack": _without({"onMetricsUnavailable": "RollBack"}),
    # people
    "pause": Event(words={"rollout": {"paused": True}}),
    "ready, pause": Event(words=lambda phase: {"ready": {newest(phase): 4}, "rollout": {"paused": True}}),
    "resume": Event(words={"rollout": {"paused": False}}),
    "approve step 2": Event(words={"commands": {"approve": f"{B}/2"}, "rollout": {"steps": STEPS}}),
    "promote": _command("promote", B),
    "abort": _command("abort", newest),
    "rollback to A": _command("rollback", A),
    "rollback to C": _command("rollback", C),
    "retry": _command("retry", f"{B}/1"),
    "restart": _command("restart", "1"),
    "refresh": _command("refresh", "1"),
    # spec
    "spec A": Event(words={"version": "1"}),
    "spec B": Event(words={"version": "2"}),
    "spec C": Event(words={"version": "3"}),
    "spec invalid": Event(words={"replicas": -1}),
    "no runtime": Event(words={"version": "3", "runtime": None}),
    "more replicas": Event(words={"replicas": 9}),
    "no replicas": Event(words={"replicas": 0}),
    "other analysis": Event(words={"analysis": {**ERRORS, "tolerancePercent": 10}}),
    "other steps": Event(words={"rollout": {"steps": [{"weightPercent": 10}, {"weightPercent": 30}]}}),
}


def happening(event: Event, phase: Phase, **words: Any) -> Observed:
    """The world in which it happens in this phase. The judge is shown what to say."""
    given = event.words(phase) if callable(event.words) else event.words
    made = _merged(_merged({"analysis": ERRORS}, given), words)
    version = made.pop("version", None)
    metrics = phase is not Phase.METRICS_UNAVAILABLE if event.metrics is None else event.metrics
    return rolling(phase, version, evidence=Evidence() if metrics else NO_METRICS, **made)


def say(monkeypatch: pytest.MonkeyPatch, event: Event, phase: Phase) -> None:
    """Let the judge say it, at the times at which it may."""
    usual = Verdict.INCONCLUSIVE if phase is Phase.INCONCLUSIVE else Verdict.CONTINUE
    verdict = event.verdict or usual

    def assess(policy: Policy, _: judge.State, step: Step) -> Assessment:
        least = {Verdict.ADVANCE: policy.step_min_seconds, Verdict.INCONCLUSIVE: policy.step_max_seconds}
        too_early = step.time - step.started < least.get(verdict, 0)
        said = Verdict.CONTINUE if too_early else verdict
        return Assessment(verdict=said, odds=1.0, message=f"The judge says {said}.")

    monkeypatch.setattr(judge, "assess", assess)


def _merged(first: Words, second: Words) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        deeper = isinstance(value, dict) and isinstance(merged.get(key), dict) and key == "rollout"
        merged[key] = {**merged[key], **value} if deeper else value
    return merged
