"""What A/A trials and injected faults have in common: rollouts cut into windows, trials played, and what their number shows.

Chances are computed without a library: the binomial distribution, and bounds of a share.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

from modelward.analysis.readings import Poll
from modelward_cli.backtest.play import Player
from modelward_cli.backtest.recording import RolloutId, header_of
from modelward_cli.backtest.rivals import Thresholds, rules
from modelward_cli.backtest.windows import Cutting, Trial, Window, Windows
from modelward_cli.judge.protocol import Header, Line


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


def played(trial: Trial, polls: Iterable[Poll], thresholds: Thresholds) -> Player:
    """The judge and the rules of others, after the polls of a trial."""
    player = Player(trial.header, rules(thresholds))
    for poll in polls:
        player.take(poll)
    return player


def percent(share: float) -> float:
    """A share in percent, to four digits."""
    return float(f"{100 * share:.4g}")


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


def upper_bound(hits: int, number: int, significance: float = 0.05) -> float:
    """The largest share with which so few hits are not yet unlikely (Clopper and Pearson 1934, one-sided)."""
    low, high = hits / number, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if at_most(hits, number, middle) > significance else (low, middle)
    return high


def rank(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]
