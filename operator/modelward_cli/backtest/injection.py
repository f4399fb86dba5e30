"""Faults in pods that play the canary: how soon each is found on this traffic."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from random import Random
from statistics import median

from modelward.analysis.counters import RatioCounts, clean, increment
from modelward.analysis.readings import Poll, RatioReading, Reading
from modelward_cli.backtest.faults import Fault, Wrong, injected
from modelward_cli.backtest.play import OURS, Player
from modelward_cli.backtest.recording import RolloutId
from modelward_cli.backtest.results import Detection, FaultResult, InjectResult
from modelward_cli.backtest.rivals import Thresholds
from modelward_cli.backtest.series import Metrics, metrics_of
from modelward_cli.backtest.trials import History, percent, played, rank
from modelward_cli.backtest.windows import Cutting, Trial, Window, trials
from modelward_cli.judge.protocol import Header, Line
from modelward_cli.judge.replay import Word, with_aliases


@dataclass(slots=True, kw_only=True)
class _Times:
    """When a rule found a fault, trial by trial; infinite: not in the window."""

    seconds: list[float] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)

    def add(self, seconds: float | None, bad: int | None) -> None:
        self.seconds.append(inf if seconds is None else seconds)
        if bad is not None:
            self.bad.append(bad)

    def detection(self, rule: str) -> Detection:
        return Detection(
            rule=rule,
            found=sum(seconds < inf for seconds in self.seconds),
            median_seconds=_finite(rank(self.seconds, 0.5)),
            p95_seconds=_finite(rank(self.seconds, 0.95)),
            median_bad_requests=median(self.bad) if self.bad else None,
        )


def _finite(value: float) -> float | None:
    return value if value < inf else None


@dataclass(slots=True, kw_only=True)
class _Injection:
    """What came of the faults so far."""

    faults: Sequence[Fault]
    thresholds: Thresholds
    seed: int
    times: dict[str, dict[str, _Times]]
    usuals: list[float] = field(default_factory=list)
    """Stable's own share of failures, by window."""
    shares: list[float] = field(default_factory=list)
    """Of the requests, by trial."""

    def take(self, rollout: RolloutId, header: Header, window: Window) -> None:
        """Try all faults on the pods whose turn it is."""
        metrics = shown_metrics(header, window)
        usual = usual_share(window.past, metrics.errors)
        self.usuals += [] if usual is None else [usual]
        for trial in trials(window, header):
            for fault in self.faults:
                name = fault.metric(metrics)
                # With no failure at all there is nothing to multiply.
                if name and (usual or fault.wrong is not Wrong.ERRORS_TIMES):
                    self._try(rollout, trial, fault, name, usual or 0.0)

    def _try(self, rollout: RolloutId, trial: Trial, fault: Fault, metric: str, usual: float) -> None:
        random = Random(f"{self.seed}/{rollout}/{trial.past[-1].time}/{trial.pod}/{fault.name}")  # noqa: S311 - no secret, and to be repeated
        polls = injected(trial, fault, metric, usual, random)
        player = played(trial, polls, self.thresholds)
        result = player.result(rollout)
        if result is None or not player.has_canary:
            return
        self.shares += _share(player)
        times = self.times[fault.name]
        rolled_back = result.verdict == Word.ROLL_BACK
        times[OURS].add(result.seconds if rolled_back else None, result.bad_requests)
        for found in result.others:
            times[found.rule].add(found.seconds, found.bad_requests)


def inject(
    lines: Iterable[Line], faults: Sequence[Fault], cutting: Cutting, thresholds: Thresholds, seed: int
) -> InjectResult:
    """How soon each fault would have been found on this traffic."""
    history = History(cutting=cutting)
    made = _Injection(
        faults=faults,
        thresholds=thresholds,
        seed=seed,
        times={fault.name: defaultdict(_Times) for fault in faults},
    )
    for line in lines:
        for rollout, header, window in history.take(line):
            made.take(rollout, header, window)
    return InjectResult(
        faults=tuple(_fault_result(fault.name, made.times[fault.name]) for fault in faults),
        usual_error_percent=percent(median(made.usuals)) if made.usuals else None,
        traffic_percent=percent(median(made.shares)) if made.shares else None,
        windows=history.made,
        skipped_windows=history.skipped,
        window_seconds=cutting.window_seconds,
        seed=seed,
    )


def shown_metrics(header: Header, window: Window) -> Metrics:
    """The names under which the pods of a window show their failures and their latency."""
    shown = {name: reading for pod in window.past[-1].pods for name, reading in pod.metrics.items()}
    aliases = header.policy.aliases
    policy = header.policy.policy(with_aliases(shown, aliases), header.policy.interval_seconds)
    metrics = metrics_of(policy)
    names = (name if name in shown else aliases.get(name, "") for name in (metrics.errors, metrics.latency))
    errors, latency = (name if name in shown else "" for name in names)
    return Metrics(errors=errors, latency=latency)


def usual_share(polls: Sequence[Poll], name: str) -> float | None:
    """Failures of all requests that the pods counted over `polls`; None: there is no such metric, or no request."""
    total = RatioCounts()
    for before, after in pairwise(polls):
        old = {pod.pod: pod.metrics.get(name) for pod in before.pods}
        for pod in after.pods:
            reading = pod.metrics.get(name)
            if (
                isinstance(reading, RatioReading)
                and old.get(pod.pod)
                and (counts := _ratio(old[pod.pod], reading))
            ):
                total = total.plus(counts)
    return total.hits / total.total if total.total else None


def _ratio(before: Reading | None, now: RatioReading) -> RatioCounts | None:
    counts = increment(before, now) if clean(now) else None
    return counts if isinstance(counts, RatioCounts) else None


def _share(player: Player) -> list[float]:
    """The pseudo-canary's share of the requests."""
    canary, stable = (counted.errors or counted.latency for counted in (player.canary, player.stable))
    total = (canary.total if canary else 0) + (stable.total if stable else 0)
    return [canary.total / total] if canary and total else []


def _fault_result(fault: str, times: dict[str, _Times]) -> FaultResult:
    return FaultResult(
        fault=fault,
        trials=len(times[OURS].seconds) if OURS in times else 0,
        rules=tuple(each.detection(rule) for rule, each in times.items()),
    )
