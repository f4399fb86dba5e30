"""The lines of `modelward judge`: JSON that anybody may have written, as typed values. docs/judge.md describes it.

What is wrong with the shape of a line refuses the line. A value that no counter can have (null, NaN, negative) is a
reading that could not be had: unknown, never zero and never a verdict.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import ceil, isnan, nan
from typing import Any, Final

import msgspec

from modelward.analysis.idle import MOST_COMBINED, NOTHING, Own, Source
from modelward.analysis.policy import INTERVAL_OF_A_SOURCE, MetricPolicy, Policy, metric_policy
from modelward.analysis.readings import (
    Arm,
    GaugeReading,
    HistogramReading,
    PodReading,
    Poll,
    RatioReading,
    Reading,
)
from modelward.api.analysis_policy import Direction, Metric, MetricAction, MetricKind, SignalName
from modelward.api.fields import EXACT_INT_MAX
from modelward.api.rollout_policy import DEFAULT_STEPS, OnInconclusive
from modelward.errors import InvalidLine


class _Metric(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A metric of spec.analysis; selectors are of no use here, and not asked for."""

    name: str
    signal: SignalName | None = None
    kind: MetricKind | None = None
    direction: Direction | None = None
    tolerance_percent: float | None = None
    limit_percent: float | None = None
    share: float | None = None
    action: MetricAction | None = None
    dry_run: bool = False


class _Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    weight_percent: float


class _Policy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fields of spec.analysis and spec.rollout that the judge heeds."""

    interval_seconds: float | None = None
    confidence_percent: float = 99
    tolerance_percent: float = 25
    metrics: tuple[_Metric, ...] = ()
    steps: tuple[_Step | float, ...] = tuple(float(step.weight_percent) for step in DEFAULT_STEPS)
    step_min_seconds: float = 120
    step_max_seconds: float = 600
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    own_requests_per_second: float = 0.0
    """Of a recording: what probes and scrapes ask of each pod. A model's template has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenPolicy:
    """What a header says. The kinds of metrics may be left to what the pods show."""

    interval_seconds: float | None = None
    steps: tuple[float, ...] = tuple(step.weight_percent for step in DEFAULT_STEPS)
    on_inconclusive: OnInconclusive = OnInconclusive.PAUSE
    given: _Policy = field(default_factory=_Policy)

    def next_weight(self, weight: float) -> float | None:
        """The weight of the step after `weight`, 100 after the last; None: it has all the traffic already."""
        if weight >= 100:
            return None
        return next((step for step in self.steps if step > weight), 100.0)

    def policy(self, shown: Mapping[str, Reading], interval_seconds: float | None) -> Policy:
        """The judge's policy, when pods show `shown`."""
        given = self.given
        metrics = given.metrics or tuple(_Metric(name=name) for name in sorted(shown))
        kinds = {metric.name: _kind(metric, shown) for metric in metrics}
        return Policy(
            metrics=tuple(
                _metric_policy(metric, kind, given.tolerance_percent)
                for metric in metrics
                if (kind := kinds[metric.name])
            ),
            alpha=round(1 - given.confidence_percent / 100, 9),
            interval_seconds=self.interval_seconds or interval_seconds or INTERVAL_OF_A_SOURCE,
            step_min_seconds=given.step_min_seconds,
            step_max_seconds=given.step_max_seconds,
            own=_own(given.own_requests_per_second),
        )

    @property
    def aliases(self) -> dict[str, str]:
        """By metric the reading that stands in for it: `{name: slo, kind: Guard, signal: errors}` uses `errors`."""
        return {metric.name: metric.signal.value for metric in self.given.metrics if metric.signal}


def _own(per_second: float) -> Own:
    """So many requests a second, from as few sources as ask every ten seconds each, or from the most."""
    if not per_second:
        return NOTHING
    number = min(MOST_COMBINED, ceil(_PROBE_SECONDS * per_second))
    period = number / per_second
    return Own(sources=(Source(period_seconds=period, first_seconds=max(_PROBE_SECONDS, period)),) * number)


_PROBE_SECONDS: Final = 10.0
"""Kubernetes' default for the period of a probe."""
_BY_NAME: Final = {
    "errors": MetricKind.RATIO,
    "latency": MetricKind.LATENCY,
    "predictions": MetricKind.DISTRIBUTION,
}
_DURATIONS: Final = ("latency", "duration", "seconds")


def _kind(metric: _Metric, shown: Mapping[str, Reading]) -> MetricKind | None:
    """The kind that is given, or that what the pods show suggests; None: not to be judged, or not seen yet."""
    if metric.kind:
        return metric.kind
    if metric.signal:
        return _BY_NAME[metric.signal.value]
    match shown.get(metric.name):
        case RatioReading():
            return MetricKind.GUARD if metric.limit_percent is not None else MetricKind.RATIO
        case HistogramReading():
            timed = any(word in metric.name.lower() for word in _DURATIONS)
            return MetricKind.LATENCY if timed else MetricKind.DISTRIBUTION
        case GaugeReading():
            known = metric.direction is not None and metric.tolerance_percent is not None
            return MetricKind.GAUGE if known else None
    return _BY_NAME.get(metric.name)


def _metric_policy(metric: _Metric, kind: MetricKind, tolerance_percent: float) -> MetricPolicy:
    as_in_spec = Metric(
        name=metric.name,
        signal=metric.signal,
        kind=kind,
        direction=metric.direction,
        action=metric.action,
        dry_run=metric.dry_run,
    )
    made = metric_policy(as_in_spec, 0)
    drift = kind is MetricKind.DISTRIBUTION
    default = 50.0 if drift else tolerance_percent
    tolerance = default if metric.tolerance_percent is None else metric.tolerance_percent
    return replace(
        made,
        margin=1 + tolerance / 100,
        share=metric.share,
        limit=None if metric.limit_percent is None else metric.limit_percent / 100,
    )


# --- lines --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a rollout's first line says."""

    policy: GivenPolicy = field(default_factory=GivenPolicy)
    reference: tuple[Poll, ...] | None = None
    """Polls of stable before the rollout; None: nothing is said about them."""
    unheeded: tuple[str, ...] = ()
    """Fields of the policy that the judge does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: a header, a scrape, or both."""

    rollout: str | int
    header: Header | None = None
    poll: Poll | None = None
    """Its weight is NaN when the line gives none."""


def parsed(text: str | bytes) -> Line:
    """The line that `text` is. Raises InvalidLine."""
    raw = _json(text)
    if not isinstance(raw, dict):
        raise InvalidLine("must be a JSON object")
    rollout = raw.get("rollout")
    if isinstance(rollout, bool) or not isinstance(rollout, str | int) or rollout == "":
        raise InvalidLine("rollout must be a name")
    scraped = "time" in raw or "pods" in raw
    headed = "policy" in raw or "reference" in raw or not scraped
    return Line(
        rollout=rollout,
        header=_header(raw) if headed else None,
        poll=_poll(raw, "") if scraped else None,
    )


def _json(text: str | bytes) -> Any:
    """The value of `text`; NaN and Infinity, which JSON does not have but Python writes, are understood."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidLine(f"is not JSON: {error}") from error


def _header(raw: dict[str, Any]) -> Header:
    given, unheeded = _given(raw.get("policy"))
    reference = raw.get("reference")
    if reference is not None and not isinstance(reference, list):
        raise InvalidLine("reference must be a list of scrapes")
    polls = None
    if reference is not None:
        polls = tuple(_poll(entry, f"reference[{i}].", stable=True) for i, entry in enumerate(reference))
        polls = tuple(sorted(polls, key=lambda poll: poll.time))
    return Header(policy=given, reference=polls, unheeded=unheeded)


_UNHEEDED: Final = frozenset(
    [
        "source",
        "strategy",
        "progressDeadlineSeconds",
        "onDeadline",
        "onMetricsUnavailable",
        "keepPreviousSeconds",
        "capacity",
        "paused",
        "revisionHistoryLimit",
    ]
)
"""Fields of spec.analysis and spec.rollout that have no meaning for a recorded stream."""


def _given(raw: Any) -> tuple[GivenPolicy, tuple[str, ...]]:
    fields = _flat(raw)
    try:
        given = msgspec.convert(fields, _Policy, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidLine(f"policy cannot be used: {error}") from error
    steps = tuple(step.weight_percent if isinstance(step, _Step) else step for step in given.steps)
    _check(given, steps)
    known = {field.encode_name for field in msgspec.structs.fields(_Policy)} | _UNHEEDED
    return (
        GivenPolicy(
            interval_seconds=given.interval_seconds,
            steps=steps,
            on_inconclusive=given.on_inconclusive,
            given=given,
        ),
        tuple(sorted(name for name in fields if name not in known)),
    )


def _flat(raw: Any) -> dict[str, Any]:
    """The fields of a policy, whether given as {"analysis": ..., "rollout": ...}, as a spec, or all in one."""
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise InvalidLine("policy must be an object")
    merged: dict[str, Any] = {}
    for name, value in raw.items():
        if name in {"spec", "analysis", "rollout"}:
            merged |= _flat(value)
        elif value is not None:
            merged[name] = value
    return merged


def _check(given: _Policy, steps: tuple[float, ...]) -> None:
    names = [metric.name for metric in given.metrics]
    for sound, problem_text in (
        (50 <= given.confidence_percent < 100, "confidencePercent must be from 50 to below 100"),
        (0 <= given.tolerance_percent <= 1000, "tolerancePercent must be from 0 to 1000"),
        (
            given.interval_seconds is None or 0 < given.interval_seconds <= 3600,
            "intervalSeconds must be above 0",
        ),
        (
            0 < given.step_min_seconds <= given.step_max_seconds,
            "stepMinSeconds must not be above stepMaxSeconds",
        ),
        (all(0 < step < 100 for step in steps), "steps must have weightPercent between 0 and 100"),
        (0 <= given.own_requests_per_second <= 1e6, "ownRequestsPerSecond must be from 0 to 1000000"),
        (list(steps) == sorted(set(steps)), "steps must rise"),
        (len(names) == len(set(names)), "metrics must have different names"),
    ):
        if not sound:
            raise InvalidLine(f"policy.{problem_text}")
    for metric in given.metrics:
        _check_metric(metric)


def _check_metric(metric: _Metric) -> None:
    tolerance, limit, share = metric.tolerance_percent, metric.limit_percent, metric.share
    guard, gauge = metric.kind is MetricKind.GUARD, metric.kind is MetricKind.GAUGE
    for sound, problem_text in (
        (tolerance is None or 0 <= tolerance <= 1000, "tolerancePercent must be from 0 to 1000"),
        (limit is None or 0 <= limit <= 100, "limitPercent must be from 0 to 100"),
        (share is None or 0 < share <= 100, "share must be above 0 and at most 100"),
        (not guard or limit is not None, "limitPercent is needed with the kind Guard"),
        (
            not gauge or (metric.direction and tolerance is not None),
            "direction and tolerancePercent are needed",
        ),
    ):
        if not sound:
            raise InvalidLine(f"policy.metrics, {metric.name}: {problem_text}")


# --- scrapes ------------------------------------------------------------------------------------------------


def _poll(raw: Any, path: str, *, stable: bool = False) -> Poll:
    if not isinstance(raw, dict):
        raise InvalidLine(f"{path.rstrip('.')} must be an object")
    pods = raw.get("pods")
    if not isinstance(pods, list):
        raise InvalidLine(f"{path}pods must be a list")
    read = tuple(_each_pod(pods, f"{path}pods", stable=stable))
    if len({pod.pod for pod in read}) != len(read):
        raise InvalidLine(f"{path}pods has a pod twice")
    weight = raw.get("weightPercent")
    if weight is not None and not (_is_number(weight) and 0 <= weight <= 100):
        raise InvalidLine(f"{path}weightPercent must be a number from 0 to 100")
    time = raw.get("time")
    if not isinstance(time, int | float) or isinstance(time, bool) or not abs(time) <= EXACT_INT_MAX:
        raise InvalidLine(f"{path}time must be a number of seconds")
    return Poll(
        time=float(time),
        weight_percent=nan if weight is None else float(weight),
        pods=read,
        unread=_unread(raw.get("unread"), f"{path}unread"),
    )


def _unread(raw: Any, path: str) -> tuple[tuple[str, Arm], ...]:
    """Pods that should have been read and could not: a sample waits for them."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise InvalidLine(f"{path} must be a list of pods")
    return tuple((pod.pod, pod.arm) for pod in _each_pod(raw, path, stable=False))


def _each_pod(raw: list[Any], path: str, *, stable: bool) -> Iterator[PodReading]:
    """The pods. Where something is wrong is only put together when it is: streams have millions of pods."""
    for index, pod in enumerate(raw):
        try:
            yield _pod(pod, stable=stable)
        except InvalidLine as error:
            raise InvalidLine(f"{path}[{index}]{error}") from error


def _pod(raw: Any, *, stable: bool) -> PodReading:
    if not isinstance(raw, dict):
        raise InvalidLine(" must be an object")
    pod, arm, metrics, node = raw.get("pod"), raw.get("arm"), raw.get("metrics"), raw.get("node")
    if not isinstance(pod, str) or not pod:
        raise InvalidLine(".pod must be a name")
    if stable and arm is None:
        arm = Arm.STABLE.value
    if not isinstance(arm, str) or arm not in _ARMS:
        raise InvalidLine('.arm must be "canary" or "stable"')
    if metrics is not None and not isinstance(metrics, dict):
        raise InvalidLine(".metrics must be an object")
    return PodReading(
        pod=pod,
        arm=_ARMS[arm],
        metrics=_readings(metrics) if metrics else {},
        node=node if isinstance(node, str) else "",
        started=_seconds(raw.get("started"), ".started"),
        process_started=_seconds(raw.get("processStarted"), ".processStarted"),
        ready_since=_seconds(raw.get("readySince"), ".readySince"),
    )


def _seconds(raw: Any, path: str) -> float | None:
    """A time on the clock of the scrapes; None: not known."""
    if raw is None:
        return None
    if not _is_number(raw) or not abs(raw) <= EXACT_INT_MAX:
        raise InvalidLine(f"{path} must be a number of seconds")
    return float(raw)


_ARMS: Final = {arm.value: arm for arm in Arm}


def _readings(raw: dict[str, Any]) -> dict[str, Reading]:
    readings = {}
    for name, value in raw.items():
        try:
            reading = _reading(value)
        except InvalidLine as error:
            raise InvalidLine(f".metrics.{name}{error}") from error
        if reading is not None:
            readings[name] = reading
    return readings


def _reading(raw: Any) -> Reading | None:
    """The reading, by its shape; None: it could not be had."""
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise InvalidLine(" must be an object")
    if "buckets" in raw:
        return _histogram(raw["buckets"])
    if "total" in raw:
        # A series of hits is born with the first hit; the total has been seen, so there was none yet.
        return RatioReading(hits=_value(raw.get("hits", 0), ".hits"), total=_value(raw["total"], ".total"))
    if "value" in raw:
        return GaugeReading(value=_value(raw["value"], ".value"))
    if "hits" in raw:
        return None
    raise InvalidLine(" must have hits and total, buckets, or value")


def _histogram(raw: Any) -> Reading | None:
    if raw is None:
        return None
    if not isinstance(raw, dict):
        raise InvalidLine(".buckets must be an object")
    return HistogramReading(buckets={_bound(name): _value(count, ".buckets") for name, count in raw.items()})


@lru_cache(maxsize=4096)
def _bound(text: str) -> float:
    try:
        bound = float(text)
    except ValueError:
        bound = nan
    if isnan(bound):
        raise InvalidLine(f".buckets has the bound {text!r}, which is not a number")
    return bound


def _value(raw: Any, path: str) -> float:
    """The number; NaN stands for null."""
    if raw is None:
        return nan
    if not _is_number(raw):
        raise InvalidLine(f"{path} must be a number")
    # A whole number may be too large for a float; no counter is.
    return float(raw) if -EXACT_INT_MAX <= raw <= EXACT_INT_MAX else nan


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
