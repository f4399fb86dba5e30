"""Recorded rollouts played once: the judge, and the rules of others, on the same counters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan

from modelward.analysis.readings import Arm, Poll
from modelward_cli.backtest.recording import RolloutId, header_of
from modelward_cli.backtest.results import Found, ReplayResult, RolloutResult
from modelward_cli.backtest.rivals import Rule, Thresholds, rules
from modelward_cli.backtest.series import Counted, Metrics, Series, metrics_of
from modelward_cli.judge.protocol import Header, Line
from modelward_cli.judge.replay import Replay, Said, Word

OURS = "Modelward"
MOST_POINTS = 4000
"""Of a curve; a longer one is thinned out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What was known at one time: for a plot."""

    time: float
    odds: float
    canary: Counted
    stable: Counted


@dataclass(slots=True)
class Trace:
    """The course of a rollout, in little memory however long it is."""

    points: list[Point] = field(default_factory=list)
    _stride: int = 1
    _seen: int = 0

    def add(self, point: Point) -> None:
        """Take in the next point, if it is its turn."""
        if self._seen % self._stride == 0:
            self.points.append(point)
        self._seen += 1
        if len(self.points) > MOST_POINTS:
            self.points = self.points[::2]
            self._stride *= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a plot of a rollout shows."""

    title: str
    began: float
    limit: float
    points: tuple[Point, ...]
    marks: Mapping[str, float]
    """When each rule rolled back, by its name."""


class Player:
    """One rollout. It is fed polls in the order of time; `result` may be asked for at any time."""

    def __init__(self, header: Header, rules: Sequence[Rule], trace: Trace | None = None) -> None:
        self._replay = Replay(header, every=trace is not None)
        self._rules = rules
        self._trace = trace
        self._series = Series(keep_seconds=2 * max((rule.window_seconds for rule in rules), default=0.0))
        self._began: float | None = None
        self._ended: float | None = None
        self._decided: Said | None = None
        self._counted: Counted | None = None
        """Of the canary, when the judge rolled back."""
        self._found: dict[str, Counted] = {}
        """Of the canary, by rule, when it rolled back."""

    @property
    def has_canary(self) -> bool:
        """Whether a canary had traffic."""
        return self._began is not None

    @property
    def began(self) -> float | None:
        """Since when the canary had traffic."""
        return self._began

    @property
    def limit(self) -> float:
        """The odds at which a canary is rolled back."""
        return self._replay.policy.limit

    @property
    def canary(self) -> Counted:
        """What the canary has counted."""
        return self._series.canary

    @property
    def stable(self) -> Counted:
        """What stable has counted in the same time."""
        return self._series.stable

    @property
    def marks(self) -> dict[str, float]:
        """When each of the other rules rolled back, by its name."""
        return {rule.name: rule.rolled_back for rule in self._rules if rule.rolled_back is not None}

    def take(self, poll: Poll) -> None:
        """Take a poll in, which is later than the last."""
        said = list(self._replay.take(poll))
        self._count(poll)
        rolled_back = next((one for one in said if one.word is Word.ROLL_BACK), None)
        if rolled_back and not self._decided:
            self._decided, self._counted = rolled_back, self.canary
        if self._trace is not None and said and self.has_canary:
            self._trace.add(Point(time=poll.time, odds=said[-1].odds, canary=self.canary, stable=self.stable))

    def result(self, rollout: RolloutId) -> RolloutResult | None:
        """What came of it; None when there was no poll."""
        said = self._decided or self._replay.last()
        if said is None:
            return None
        counted = self._counted or self.canary
        errors = counted.errors
        return RolloutResult(
            rollout=rollout,
            verdict=said.word.value,
            time=said.time,
            seconds=self._since_began(said.time),
            odds=float(f"{said.odds:.6g}"),
            metric=said.metric,
            message=said.message,
            requests=_requests(counted),
            bad_requests=round(errors.hits) if errors else None,
            recorded_seconds=self._since_began(self._ended),
            phi={name: float(f"{phi:.4g}") for name, phi in self._replay.phis.items()},
            others=tuple(self._others()),
        )

    def _count(self, poll: Poll) -> None:
        """Count for the other rules, and check them, while the canary has traffic."""
        metrics = metrics_of(self._replay.policy)
        if self._began is None:
            if self._replay.began is None:
                return
            self._begin(self._replay.began, metrics)
        self._series.take(poll.time, self._replay.samples, metrics)
        if not _has_canary(poll):
            return
        self._ended = poll.time
        for rule in self._rules:
            self._poll(rule, poll.time)
        self._series.forget(poll.time)

    def _begin(self, time: float, metrics: Metrics) -> None:
        self._began = time
        self._series.begin(time, metrics)
        for rule in self._rules:
            rule.begin(time)

    def _poll(self, rule: Rule, time: float) -> None:
        rule.check(self._series, time)
        when = rule.rolled_back
        if when is not None and rule.name not in self._found:
            self._found[rule.name] = self._series.at(when)

    def _others(self) -> Iterable[Found]:
        for rule in self._rules:
            errors = self._found.get(rule.name, self.canary).errors
            yield Found(
                rule=rule.name,
                rolled_back=rule.rolled_back is not None,
                seconds=self._since_began(rule.rolled_back),
                bad_requests=round(errors.hits) if errors else None,
            )

    def _since_began(self, time: float | None) -> float | None:
        return None if time is None or self._began is None else round(time - self._began, 3)


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


def _has_canary(poll: Poll) -> bool:
    with_traffic = isnan(poll.weight_percent) or poll.weight_percent > 0
    return with_traffic and any(pod.arm is Arm.CANARY for pod in poll.pods)


def _requests(counted: Counted) -> int | None:
    counts = counted.errors or counted.latency
    return round(counts.total) if counts else None
