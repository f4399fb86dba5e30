"""Canaries whose metric source fails, each in another way: none gets any further, and all say why. Pods are kwok's.

Every canary is a bad one, so that each is rolled back as soon as its source answers. One more, a good one with a
source that works, is promoted meanwhile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from faults.metrics_faults import (
    FAULTS,
    HEALTHY,
    REFUSED,
    TIMEOUT_SECONDS,
    FailingPrometheus,
    failing_prometheus,
    requests,
)
from support.kubectl import Kubectl
from support.models import KIND, fake_model, status, wait_ready
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.slow

PER_SECOND: Final = 200.0
FIRST_PERCENT: Final = 50
PATIENCE_SECONDS: Final = 120.0
MOST_GROWTH: Final = 256 * 1024 * 1024
"""Of the operator's memory: two sources flood it, over 16 connections each, of which 8 MiB each are read."""
ROLLOUT: Final = {
    "steps": [{"weightPercent": FIRST_PERCENT}],
    "stepMinSeconds": 3,
    "stepMaxSeconds": 900,
    "keepPreviousSeconds": 0,
}
METRIC: Final = {
    "name": "errors",
    "kind": "Ratio",
    "hits": 'requests_total{code="500"}',
    "total": "requests_total",
}
NAMES: Final = (HEALTHY, *FAULTS)


def model(name: str, version: str) -> dict[str, Any]:
    """One pod of each version, judged by the source that is named after the model."""
    analysis = {"source": name, "intervalSeconds": 2, "metrics": [METRIC]}
    return fake_model(name, version=version, rollout=ROLLOUT, analysis=analysis)


def settings(prometheus: FailingPrometheus, directory: Path) -> Path:
    """The operator's settings, with a metric source for each model."""
    sources = [
        {"name": name, "url": prometheus.url(name), "timeoutSeconds": TIMEOUT_SECONDS, "delaySeconds": 0}
        for name in NAMES
    ]
    file = directory / "settings.yaml"
    file.write_text(yaml.safe_dump({"metrics": {"sources": sources}}))
    return file


@dataclass(frozen=True, slots=True)
class Failed:
    """The world in which one source works, and all others have failed since before the canaries began."""

    kubectl: Kubectl
    prometheus: FailingPrometheus
    operator: OperatorProcess
    memory: int
    """Of the operator, before."""

    def statuses(self) -> dict[str, dict[str, Any]]:
        """Status of every model, by name."""
        return {each["metadata"]["name"]: each.get("status", {}) for each in self.kubectl.all(KIND)}


@pytest.fixture(scope="module")
def failed(credentials: Path, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failed]:
    """All canaries with weight, and the good one promoted."""
    directory = tmp_path_factory.mktemp("metrics")
    with failing_prometheus(FAULTS) as prometheus:
        operator = OperatorProcess(credentials, directory, f"--settings={settings(prometheus, directory)}")
        operator.start()
        try:
            kubectl.apply(*(model(name, "1") for name in NAMES))
            for name in NAMES:
                wait_ready(kubectl, name)
            began = Failed(kubectl, prometheus, operator, memory=resident(operator.pid))
            kubectl.apply(*(model(name, "2") for name in NAMES))
            until(lambda: _pods_measured(began), "every model has a pod of each version")
            yield began
        finally:
            operator.stop()


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) * 1024


def _pods_measured(failed: Failed) -> bool:
    """Whether the source of every model was notified of its pods: all canaries fail, but the one whose source works."""
    pods: dict[tuple[str, str], str] = {}
    for pod in failed.kubectl.all("pods"):
        labels = pod["metadata"]["labels"]
        pods[labels["modelward.dev/model"], labels["modelward.dev/revision"]] = pod["metadata"]["name"]
    for name, now in failed.statuses().items():
        canary = pods.get((name, now.get("canaryRevision", "")))
        stable = pods.get((name, now.get("stableRevision", "")))
        if canary is None or stable is None:
            return False
        where = failed.kubectl.namespace
        failed.prometheus.holds(
            name,
            requests(where, canary, per_second=PER_SECOND, error_share=0.01 if name == HEALTHY else 0.3),
            requests(where, stable, per_second=PER_SECOND, error_share=0.01),
        )
    return True


def _ready(now: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in now["conditions"] if each["type"] == "Ready")
    return found


def test_a_canary_with_metrics_goes_on_beside_those_without(failed: Failed) -> None:
    """Nobody waits for the source of somebody else."""

    def promoted() -> bool:
        return [each["result"] for each in failed.statuses()[HEALTHY]["history"]] == ["Promoted"] * 2

    until(promoted, "it is promoted", seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("name", FAULTS)
def test_unknown_is_no_success_and_says_why(failed: Failed, name: str) -> None:
    """The canary has its first weight and no more, is not rolled back, and the message shows the source."""
    words = FAULTS[name].words

    def reported() -> dict[str, Any]:
        now = status(failed.kubectl, name)
        ready = _ready(now)
        says = (ready["reason"] == "MetricsUnavailable") == bool(words) and words in ready["message"]
        return now if says and now["rollout"].get("weightPercent") else {}

    # Nobody listens where connections are refused: there the words alone show it.
    until(lambda: failed.prometheus.struck(name) or name == REFUSED, "the source was asked, and failed")
    now = until(reported, f"it says {words!r}; it says {_ready(status(failed.kubectl, name))}")
    assert now["canaryRevision"]
    assert now["rollout"]["weightPercent"] == FIRST_PERCENT
    assert len(now["history"]) == 1, "nothing has ended since the first version"


def test_bad_canaries_are_rolled_back_once_their_sources_answer(failed: Failed) -> None:
    """Each of them, by the same process, which took no more of a flood than its limits allow."""
    grown = resident(failed.operator.pid) - failed.memory
    failed.prometheus.repair()

    def left() -> set[str]:
        return {name for name in FAULTS if failed.statuses()[name]["history"][0]["result"] != "RolledBack"}

    until(lambda: not left(), f"all are rolled back: {left()}", seconds=PATIENCE_SECONDS)
    assert grown < MOST_GROWTH
    assert failed.operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0
    assert "unexpected error" not in failed.operator.text()
