"""A/A trials and injected faults: many pseudo-canaries, and what became of them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf
from random import Random
from statistics import median

from modelward.analysis.counters import RatioCounts, clean, increment
from modelward.analysis.protocol import Header, Line
from modelward.analysis.readings import Poll, RatioReading, Reading
from modelward.analysis.replay import Word, with_aliases
from modelward.backtest.faults import Fault, Wrong, injected
from modelward.backtest.play import Player
from modelward.backtest.recording import RolloutId, header_of
from modelward.backtest.results import (
    AAResult,
    Conclusion,
    Detection,
    FalseAlarm,
    FaultResult,
    InjectResult,
    Phi,
    RolloutResult,
    RuleCount,
)
from modelward.backtest.rivals import Thresholds, rules
from modelward.backtest.series import Metrics, metrics_of
from modelward.backtest.windows import Cutting, Trial, Window, Windows, trials

OURS = "Modelward"
_DOUBT = 0.05
"""More false alarms than happen so rarely at the promised rate are more than promised."""


@dataclass(slots=True, kw_only=True)
class History:
    """Cuts the rollouts of a file into windows, each rollout by itself."""

    cutting: Cutting
    _windows: dict[RolloutId, Windows] = field(default_factory=dict)
    _headers: dict[RolloutId, Header] = field(default_factory=dict)

    def take(self, line: Line) -> Iterator[tuple[RolloutId, Header, Window]]:
        """The windows that end with a line."""
        header = self._headers.setdefault(line.rollout, header_of(line))
        windows = self._windows.setdefault(line.rollout, Windows(cutting=self.cutting))
        past = line.header.reference or () if line.header else ()
        for poll in (*past, line.poll):
            if poll is not None:
                for window in windows.take(poll):
                    yield line.rollout, header, window

    @property
    def made(self) -> int:
        """Windows that were used."""
        return sum(windows.made for windows in self._windows.values())

    @property
    def skipped(self) -> int:
        """Windows with holes, or with too few pods."""
        return sum(windows.skipped for windows in self._windows.values())


def _played(trial: Trial, polls: Iterable[Poll], thresholds: Thresholds) -> Player:
    player = Player(trial.header, rules(thresholds))
    for poll in polls:
        player.take(poll)
    return player


# --- A/A ----------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Healthy:
    """What became of healthy pods so far."""

    thresholds: Thresholds
    trials: int = 0
    alpha: float = 0.01
    alarms: list[FalseAlarm] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    phis: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, rollout: RolloutId, header: Header, window: Window) -> None:
        """Let the pods whose turn it is play the canary."""
        for trial in trials(window, header):
            player = _played(trial, trial.polls, self.thresholds)
            result = player.result(rollout)
            if result is None or not player.has_canary:
                continue
            self.trials += 1
            self.alpha = 1 / player.limit
            self.alarms += _alarms(result, trial, window.start)
            for found in result.others:
                self.others[found.rule] += found.rolled_back
            for name, phi in result.phi.items():
                self.phis[name].append(phi)


def aa(lines: Iterable[Line], cutting: Cutting, thresholds: Thresholds) -> AAResult:
    """What would have become of healthy pods."""
    history, made = History(cutting=cutting), _Healthy(thresholds=thresholds)
    for line in lines:
        for rollout, header, window in history.take(line):
            made.take(rollout, header, window)
    alarms, number = len(made.alarms), made.trials
    return AAResult(
        trials=number,
        rolled_back=alarms,
        at_most_percent=_percent(upper_bound(alarms, number)) if number else None,
        promised_percent=_percent(made.alpha),
        conclusion=concluded(alarms, number, made.alpha),
        false_alarms=tuple(made.alarms),
        others=tuple(RuleCount(rule=rule, rolled_back=count) for rule, count in made.others.items()),
        phi={name: _phi(found) for name, found in sorted(made.phis.items())},
        windows=history.made,
        skipped_windows=history.skipped,
        window_seconds=cutting.window_seconds,
        reference_seconds=cutting.reference_seconds,
    )


def _phi(found: Sequence[float]) -> Phi:
    return Phi(median=median(found), largest=max(found))


def _alarms(result: RolloutResult, trial: Trial, start: float) -> Iterator[FalseAlarm]:
    if result.verdict == Word.ROLL_BACK:
        yield FalseAlarm(
            rollout=result.rollout,
            pod=trial.pod,
            start=start,
            seconds=result.seconds or 0.0,
            odds=result.odds,
            metric=result.metric,
            message=result.message,
        )


def concluded(alarms: int, number: int, alpha: float) -> Conclusion:
    """What so many alarms say about the promise that at most the share `alpha` is false."""
    if not alarms:
        return Conclusion.NONE
    chance = 1 - at_most(alarms - 1, number, alpha)
    return Conclusion.WITHIN_PROMISE if chance >= _DOUBT else Conclusion.MORE_THAN_PROMISED


def at_most(hits: int, number: int, share: float) -> float:
    """The probability of at most `hits` out of `number`: the binomial distribution, summed up."""
    if share >= 1:
        return float(hits >= number)
    term = (1 - share) ** number
    total = term
    for k in range(1, hits + 1):
        term *= (number - k + 1) / k * share / (1 - share)
        total += term
    return min(1.0, total)


def upper_bound(hits: int, number: int, doubt: float = _DOUBT) -> float:
    """The largest share with which so few hits are not yet unlikely (Clopper and Pearson 1934, one-sided)."""
    low, high = hits / number, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(hits, number, middle) > doubt else (low, middle)
    return high


# --- injected faults ----------------------------------------------------------------------------------------


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


def rank(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


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
        player = _played(trial, polls, self.thresholds)
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
        usual_error_percent=_percent(median(made.usuals)) if made.usuals else None,
        traffic_percent=_percent(median(made.shares)) if made.shares else None,
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


def _percent(share: float) -> float:
    return float(f"{100 * share:.4g}")
