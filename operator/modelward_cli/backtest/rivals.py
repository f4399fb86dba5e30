"""The rules of others on the same counters, from their documentation and source.

Flagger 1.x (pkg/controller/scheduler.go): every interval the canary's share of successes and its 99th percentile over
that interval. A check that fails is counted, also one without data; the count is not reset. At the beginning of a
check, `threshold` failed ones roll back: threshold 5 acts in the sixth minute. Stable is never compared.

Argo Rollouts 1.10 (analysis/analysis.go): every interval a measurement; more than `failureLimit` failed ones fail the
analysis. 0/0 is not at least 95 %, so it fails. The example of its documentation measures every five minutes by
`irate`, which is what the last two scrapes show.
"""

from dataclasses import dataclass, field
from math import isnan
from typing import Protocol

from modelward_cli.backtest.series import Counted, Series, quantile

_CLOSE = 1e-6
"""Times are sums of intervals."""
SCRAPE_SECONDS = 15.0
"""Between the scrapes of the Prometheus that others ask."""


class Rule(Protocol):
    """A rule that would roll a canary back, on its own clock."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def window_seconds(self) -> float:
        """How many seconds before a check it asks about."""

    @property
    def rolled_back(self) -> float | None:
        """When it did; None: it has not."""

    def begin(self, time: float) -> None:
        """The canary gets traffic from `time` on."""

    def check(self, series: Series, time: float) -> None:
        """Make all checks that are due by `time`."""


@dataclass(slots=True, kw_only=True)
class Flagger:
    """Flagger's analysis, by default as its examples have it."""

    interval: float = 60.0
    threshold: int = 5
    success_percent: float = 99.0
    p99_seconds: float | None = 0.5
    rolled_back: float | None = None
    failed: int = 0
    _due: float = field(default=0.0)

    @property
    def name(self) -> str:
        """What tables call it."""
        return "Flagger"

    @property
    def window_seconds(self) -> float:
        """How many seconds before a check it asks about."""
        return self.interval

    def begin(self, time: float) -> None:
        """The canary gets traffic from `time` on."""
        self._due = time + self.interval

    def check(self, series: Series, time: float) -> None:
        """Make all checks that are due by `time`."""
        while self.rolled_back is None and self._due <= time + _CLOSE:
            if self.failed >= self.threshold:
                self.rolled_back = self._due
                return
            if not self._passes(series.over(self._due - self.interval + _CLOSE, self._due + _CLOSE)):
                self.failed += 1
            self._due += self.interval

    def _passes(self, counted: Counted) -> bool:
        if counted.errors is not None:
            total = counted.errors.total
            if not total or 100 * (total - counted.errors.hits) < self.success_percent * total:
                return False
        if counted.latency is not None and self.p99_seconds is not None:
            p99 = quantile(counted.latency, 0.99)
            return not isnan(p99) and p99 <= self.p99_seconds
        return True


@dataclass(slots=True, kw_only=True)
class Argo:
    """A success rate measured by Argo Rollouts."""

    name: str = "Argo Rollouts 1m"
    interval: float = 60.0
    success_percent: float = 95.0
    failure_limit: int = 3
    window: float | None = None
    """Seconds that a measurement is about; None: since the one before."""
    rolled_back: float | None = None
    failed: int = 0
    _due: float = field(default=0.0)

    @property
    def window_seconds(self) -> float:
        """How many seconds before a check it asks about."""
        return self.window or self.interval

    def begin(self, time: float) -> None:
        """The canary gets traffic from `time` on."""
        self._due = time + self.interval

    def check(self, series: Series, time: float) -> None:
        """Make all checks that are due by `time`."""
        while self.rolled_back is None and self._due <= time + _CLOSE:
            end = self._due + _CLOSE
            errors = series.over(self._due - self.window_seconds + _CLOSE, end).errors
            failing = errors is not None and (
                not errors.total or 100 * (errors.total - errors.hits) < self.success_percent * errors.total
            )
            self.failed += failing
            if self.failed > self.failure_limit:
                self.rolled_back = self._due
            self._due += self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What users may set of the rules; the defaults are those of the documentation."""

    flagger_threshold: int = 5
    flagger_success_percent: float = 99.0
    flagger_p99_seconds: float | None = 0.5
    argo_success_percent: float = 95.0
    argo_failure_limit: int = 3


def rules(thresholds: Thresholds) -> tuple[Rule, ...]:
    """The rules for one rollout, at their beginning."""
    return (
        Flagger(
            threshold=thresholds.flagger_threshold,
            success_percent=thresholds.flagger_success_percent,
            p99_seconds=thresholds.flagger_p99_seconds,
        ),
        Argo(success_percent=thresholds.argo_success_percent, failure_limit=thresholds.argo_failure_limit),
        Argo(
            name="Argo Rollouts 5m irate",
            interval=300.0,
            window=SCRAPE_SECONDS,
            success_percent=thresholds.argo_success_percent,
            failure_limit=thresholds.argo_failure_limit,
        ),
    )
