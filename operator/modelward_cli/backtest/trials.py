"""What A/A trials and injected faults have in common: rollouts cut into windows, and trials that are played."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from modelward.analysis.readings import Poll
from modelward_cli.backtest.play import Player
from modelward_cli.backtest.recording import RolloutId, header_of
from modelward_cli.backtest.rivals import Thresholds, rules
from modelward_cli.backtest.windows import Cutting, Trial, Window, Windows
from modelward_cli.judge.protocol import Header, Line

OURS = "Modelward"


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
