"""A/A: healthy pods as pseudo-canaries. They run the same version as the rest, so every rollback is false."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from modelward_cli.backtest.recording import RolloutId
from modelward_cli.backtest.results import AAResult, Conclusion, FalseAlarm, Phi, RolloutResult, RuleCount
from modelward_cli.backtest.rivals import Thresholds
from modelward_cli.backtest.trials import History, at_most, percent, played, upper_bound
from modelward_cli.backtest.windows import Cutting, Trial, Window, trials
from modelward_cli.judge.protocol import Header, Line
from modelward_cli.judge.replay import Word

SIGNIFICANCE = 0.05
"""More false alarms than happen so rarely at the promised rate are more than promised."""


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
            player = played(trial, trial.polls, self.thresholds)
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
        at_most_percent=percent(upper_bound(alarms, number)) if number else None,
        promised_percent=percent(made.alpha),
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
    return Conclusion.WITHIN_PROMISE if chance >= SIGNIFICANCE else Conclusion.MORE_THAN_PROMISED
