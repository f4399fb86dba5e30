"""Whether what comes in is enough to judge by, and if not, why: unknown, never a pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from modelward.analysis.readings import Arm
from modelward.analysis.sampled_evidence import MetricsProblem, Unknown
from modelward.sampling.pods import Polled

MOST_MISSES: Final = 4
"""Polls in a row without something that is needed, after which it counts as unknown."""
_NO_PODS: Final = {
    Arm.CANARY: MetricsProblem(reason=Unknown.NO_PODS, message="no pod of the canary runs its server"),
    Arm.STABLE: MetricsProblem(reason=Unknown.NO_PODS, message="no pod of stable runs its server"),
}


@dataclass(slots=True)
class Freshness:
    """Counts, over polls, what was missed in a row."""

    pods: dict[str, int] = field(default_factory=dict)
    """Misses by pod."""
    shown: dict[str, int] = field(default_factory=dict)
    """Misses of each metric that both arms have shown, or of which is known why one does not."""
    together: int = 0
    """Polls in a row in which no metric was there in both arms."""

    def take(self, polled: Polled) -> MetricsProblem | None:
        """Take a poll in. The problem, once something was missed too often."""
        self.pods = {pod: self.pods.get(pod, 0) + 1 for pod in polled.unread}
        both = _shared(polled)
        self.together = 0 if both else self.together + 1
        for name in both:
            self.shown[name] = 0
        if polled.poll.weight_percent > 0:
            for name in {name for problems in polled.lacking.values() for name in problems}:
                self.shown.setdefault(name, 0)
        for name in self.shown.keys() - both:
            self.shown[name] += 1
        return self._problem(polled)

    def given_up(self, polled: Polled) -> frozenset[str]:
        """Pods of stable that were missed too often to be waited for."""
        stable = {pod for pod, arm in polled.poll.unread if arm is Arm.STABLE}
        return frozenset(pod for pod in stable if self.pods.get(pod, 0) >= MOST_MISSES)

    def _problem(self, polled: Polled) -> MetricsProblem | None:
        canary = sorted(pod for pod, arm in polled.poll.unread if arm is Arm.CANARY)
        for pod in canary:
            if self.pods.get(pod, 0) >= MOST_MISSES:
                return _of_pod(Arm.CANARY, polled.unread[pod])
        if self.together >= MOST_MISSES:
            return _why_nothing(polled)
        for name in sorted(self.shown):
            if self.shown[name] >= MOST_MISSES:
                return _why_gone(name, polled)
        return None


def _shared(polled: Polled) -> set[str]:
    """Metrics that both arms show; the canary's, once it has all the traffic."""
    by_arm: dict[Arm, set[str]] = {arm: set() for arm in Arm}
    for pod in polled.poll.pods:
        by_arm[pod.arm] |= pod.metrics.keys()
    if polled.poll.weight_percent >= 100:
        return by_arm[Arm.CANARY]
    return by_arm[Arm.CANARY] & by_arm[Arm.STABLE]


def _of_pod(arm: Arm, problem: MetricsProblem) -> MetricsProblem:
    """Without the pod's name: it changes with every pod, and the words must stay while the trouble does."""
    return MetricsProblem(reason=problem.reason, message=f"a pod of the {arm}: {problem.message}")


def _why_nothing(polled: Polled) -> MetricsProblem:
    for arm in Arm:
        if any(pod.arm is arm and pod.metrics for pod in polled.poll.pods):
            continue
        unread = sorted(pod for pod, of in polled.poll.unread if of is arm)
        if unread:
            return _of_pod(arm, polled.unread[unread[0]])
        return _first(arm, polled.lacking.get(arm, {})) or _NO_PODS[arm]
    return MetricsProblem(
        reason=Unknown.METRIC_MISSING, message="canary and stable show no metric that they share"
    )


def _why_gone(name: str, polled: Polled) -> MetricsProblem:
    for arm in Arm:
        if problem := polled.lacking.get(arm, {}).get(name):
            return _of_pod(arm, problem)
    return MetricsProblem(
        reason=Unknown.METRIC_MISSING, message=f"metric {name} was there before, and is not any more"
    )


def _first(arm: Arm, problems: Mapping[str, MetricsProblem]) -> MetricsProblem | None:
    return _of_pod(arm, problems[min(problems)]) if problems else None
