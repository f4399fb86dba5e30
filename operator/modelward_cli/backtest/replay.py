"""Past rollouts of a file, judged anew, beside what the rules of others would have done."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from modelward_cli.backtest.play import Player, Trace
from modelward_cli.backtest.plot import Picture
from modelward_cli.backtest.recording import RolloutId, header_of
from modelward_cli.backtest.results import ReplayResult
from modelward_cli.backtest.rivals import Thresholds, rules
from modelward_cli.backtest.trials import OURS
from modelward_cli.judge.protocol import Line


@dataclass(slots=True, kw_only=True)
class Replays:
    """All rollouts of a file."""

    thresholds: Thresholds
    traced: bool = False
    """Whether the course is kept, for plots."""
    _players: dict[RolloutId, Player] = field(default_factory=dict)
    _traces: dict[RolloutId, Trace] = field(default_factory=dict)

    def take(self, lines: Iterable[Line]) -> None:
        """Take all lines in."""
        for line in lines:
            player = self._players.get(line.rollout)
            if player is None:
                trace = self._traces.setdefault(line.rollout, Trace()) if self.traced else None
                player = Player(header_of(line), rules(self.thresholds), trace)
                self._players[line.rollout] = player
            if line.poll:
                player.take(line.poll)

    def result(self) -> ReplayResult:
        """Every rollout in which a canary had traffic, in the order of the file."""
        played = [(name, player.result(name)) for name, player in self._players.items()]
        rollouts = [
            result for name, result in played if result is not None and self._players[name].has_canary
        ]
        return ReplayResult(rollouts=tuple(rollouts))

    def picture(self, name: RolloutId) -> Picture:
        """What a plot of a rollout shows. Raises KeyError if its course was not kept."""
        player, trace = self._players[name], self._traces[name]
        result = player.result(name)
        rolled_back = result is not None and result.verdict == "RollBack"
        ours = {OURS: result.time} if result and rolled_back else {}
        return Picture(
            title=f"Rollout {name}",
            began=player.began or 0.0,
            limit=player.limit,
            points=tuple(trace.points),
            marks={**ours, **player.marks},
        )
