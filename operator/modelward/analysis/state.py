"""The judge's memory of one rollout, and its form in status: compact JSON with a version of its own.

Numbers are written so that they are read back exactly: a restart changes no verdict. Vectors of them are base64 of
little-endian doubles, in which each takes the same room whatever its value is (modelward.analysis.allotment).
"""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf, isnan, nan
from sys import float_info
from typing import Any, Final

from modelward.analysis import core
from modelward.analysis.counters import BucketCounts
from modelward.analysis.promotion import Incident
from modelward.analysis.readings import LARGEST_GAUGE
from modelward.analysis.table import EMPTY, MetricState, Table
from modelward.api.analysis_policy import MetricKind
from modelward.api.fields import EXACT_INT_MAX
from modelward.errors import InvalidState

VERSION: Final = 3
_DISCOUNTED: Final = (1, 2)
"""The versions before, which discounted evidence for noise before they kept it (vectors of the first are lists of JSON).
They are read, so that rollouts go on after an upgrade."""


class NoiseSource(StrEnum):
    """Where phi comes from."""

    PODS = "p"
    """Stable's pods, compared with each other."""
    TOTALS = "t"
    """Successive blocks of a single pod."""
    NONE = "n"
    """Nothing: evidence is discounted."""
    ASSUMED = "a"
    """Requests are taken to be independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The verdict that the canary is worse; nothing is judged after it."""

    time: float
    metric: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """All that is remembered of a rollout. A value: `modelward.analysis.judge` gives the next one."""

    metrics: tuple[MetricState, ...]
    noise: NoiseSource = NoiseSource.NONE
    usual: float | None = None
    """Stable's usual share of hits before the rollout; None: not known."""
    settle_seconds: float = 0
    """How long after a change of weight an interval must end to be judged: quick failures finish first."""
    frozen: bool = False
    """Whether canary traffic has flowed, and so the set of metrics is fixed."""
    time: float | None = None
    """Of the last sample."""
    began: float | None = None
    """When the canary's traffic began."""
    weight: float | None = None
    moved: float | None = None
    """When the weight changed last."""
    incident: Incident = field(default_factory=Incident)
    decided: Decided | None = None
    own: float = 0
    """What may be asked of each pod without users, requests a second, when `own_rate` of the metrics was learned."""
    pod_seconds: float = 0
    """For how long the canary's pods were counted since this step began, all together."""


def encode(state: State) -> str:
    """The state as JSON, for status."""
    packed = [
        VERSION,
        state.noise,
        state.usual,
        state.settle_seconds,
        int(state.frozen),
        state.time,
        state.began,
        state.weight,
        state.moved,
        [state.incident.usual, state.incident.strata, state.incident.logs],
        [state.decided.time, state.decided.metric] if state.decided else None,
        state.own,
        state.pod_seconds,
        [_packed(metric) for metric in state.metrics],
    ]
    return json.dumps(packed, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def decode(text: str) -> State:
    """The state that was encoded. Raises InvalidState for anything else."""
    try:
        return _state(json.loads(text))
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        RecursionError,
        struct.error,
    ) as error:
        raise InvalidState(f"the judge's state cannot be read: {error}") from error


def _state(packed: Any) -> State:
    if not isinstance(packed, list) or not packed or packed[0] not in (*_DISCOUNTED, VERSION):
        raise ValueError("it is of another version")
    _, noise, usual, settling, frozen, time, began, weight, moved, incident, decided, *users, metrics = packed
    own, pod_seconds = users or (0, 0)
    incident_usual, strata, logs = incident
    read = tuple(_metric(metric) for metric in metrics)
    if packed[0] in _DISCOUNTED:
        read = tuple(_undiscounted(metric) for metric in read)
    if decided and decided[1] not in [metric.name for metric in read if metric.joined]:
        raise ValueError("the verdict is about a metric that is not judged")
    return State(
        metrics=read,
        noise=NoiseSource(noise),
        usual=_share(usual),
        settle_seconds=_number(settling),
        frozen=bool(_count(frozen)),
        time=_maybe(time),
        began=_maybe(began),
        weight=_maybe(weight),
        moved=_maybe(moved),
        incident=Incident(usual=_share(incident_usual), strata=_count(strata), logs=_logs(logs)),
        decided=Decided(time=_number(decided[0]), metric=_text(decided[1])) if decided else None,
        own=_number(own),
        pod_seconds=_number(pod_seconds),
    )


def _undiscounted(state: MetricState) -> MetricState:
    """The memory of an earlier version, which discounted evidence for noise before it was kept."""
    if state.kind is MetricKind.GAUGE:
        return replace(state, phis=(1.0,) * len(state.phis))
    each = len(state.tests) // len(state.phis)
    read = core.discounted((0.0,), inf, state.strata)
    by_test = (phi for phi in state.phis for _ in range(each))
    tests = tuple(
        tuple(_kept_within(log * phi - (phi - 1) * read) for log in logs)
        for logs, phi in zip(state.tests, by_test, strict=True)
    )
    return replace(state, tests=tests)


def _kept_within(number: float) -> float:
    return max(-EXACT_INT_MAX, min(EXACT_INT_MAX, number))


# --- one metric ---------------------------------------------------------------------------------------------


def _packed(state: MetricState) -> list[Any]:
    """The metric as a list; what is empty at its end is left out."""
    packed = [
        state.name,
        state.kind,
        int(state.joined),
        state.known,
        _vector(state.bounds),
        _vector(state.phis),
        _vector(value for logs in state.tests for value in logs),
        state.strata,
        state.polls,
        _flat(state.open),
        _flat(state.step),
        _flat(state.total),
        state.pod,
        state.lead,
        state.due,
        _vector(state.values),
        _vector(state.history.bounds),
        _vector(state.history.cumulative),
        _vector(state.history_phis),
        state.own_rate,
        state.fresh,
        state.freedom,
    ]
    while len(packed) > _LENGTH - len(_ENDING) and packed[-1] in (None, "", 0, [], ()):
        packed.pop()
    return packed


_ENDING: Final = ["", 0, None, "", "", "", "", 0, 0, 0]
"""What stands for the entries that `_packed` leaves out, from the pod on."""


def _metric(packed: list[Any]) -> MetricState:
    missing = _LENGTH - len(packed)
    full = [*packed, *_ENDING[len(_ENDING) - missing :]] if missing > 0 else packed
    name, kind, joined, known, bounds, phis, tests, strata, polls, *tables = full
    open_, step, total, pod, lead, due, values, history_bounds, cumulative, history_phis, *users = tables
    own_rate, fresh, freedom = users
    history = BucketCounts(bounds=_each(_bound, history_bounds), cumulative=_each(_number, cumulative))
    state = MetricState(
        name=_text(name),
        kind=MetricKind(kind),
        joined=bool(_count(joined)),
        known=_maybe(known),
        bounds=_each(_bound, bounds),
        phis=_each(_number, phis),
        tests=_tests(tests, MetricKind(kind)),
        strata=_count(strata),
        polls=_count(polls),
        open=_table(open_),
        step=_table(step),
        total=_table(total),
        pod=_text(pod),
        lead=_count(lead),
        due=_maybe(due),
        values=_each(_value, values),
        own_rate=_number(own_rate),
        fresh=_number(fresh),
        freedom=_number(freedom),
        history=history,
        history_phis=_each(_number, history_phis),
    )
    _check(state)
    return state


_LENGTH: Final = 22


def _check(state: MetricState) -> None:
    """Refuse what no judge wrote: vectors that do not fit together."""
    alternatives = _alternatives(state.kind)
    per_hit = 2 if state.kind is MetricKind.DISTRIBUTION and state.bounds else 1
    hits = {len(table.canary_hits) for table in (state.open, state.step, state.total)} - {0}
    expected = 1 if state.kind is MetricKind.GUARD else len(state.tests) // per_hit
    sound = (
        all(len(logs) == alternatives for logs in state.tests)
        and state.tests
        and len(state.phis) * per_hit == len(state.tests)
        and all(phi >= 1 for phi in state.phis)
        and (state.kind is not MetricKind.GAUGE or len(state.bounds) == 1)
        and hits <= {expected}
        and len(state.history.bounds) == len(state.history.cumulative) == len(state.history_phis)
    )
    if not sound:
        raise ValueError(f"the parts of {state.name} do not fit together")


def _tests(packed: Any, kind: MetricKind) -> tuple[core.Logs, ...]:
    """The e-values, test by test."""
    if isinstance(packed, list):
        return _each(_logs, packed)
    logs, alternatives = _logs(packed), _alternatives(kind)
    return tuple(logs[at : at + alternatives] for at in range(0, len(logs), alternatives))


def _alternatives(kind: MetricKind) -> int:
    return len(core.SIGN_ALTERNATIVES if kind is MetricKind.GAUGE else core.RATIO_ALTERNATIVES)


def _flat(table: Table) -> str:
    full = (table.canary, table.stable, *table.canary_hits, *table.stable_hits)
    return _vector(() if table == EMPTY else full)


def _table(packed: Any) -> Table:
    if not packed:
        return EMPTY
    canary, stable, *hits = _each(_count, packed)
    half = len(hits) // 2
    if not hits or len(hits) != 2 * half:
        raise ValueError("a table has no hits, or those of one arm only")
    if max(hits[:half]) > canary or max(hits[half:]) > stable:
        raise ValueError("a table has more hits than cases")
    return Table(canary, stable, tuple(hits[:half]), tuple(hits[half:]))


# --- single values ------------------------------------------------------------------------------------------


def _vector(values: Iterable[float]) -> str:
    numbers = tuple(values)
    return b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode("ascii")


def _bound(value: Any) -> float:
    """Infinity and NaN are bounds, too; JSON has words for them."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return nan
    return inf if value in ("+Inf", inf) else _number(value, float_info.max)


def _each(read: Callable[[Any], Any], values: Any) -> tuple[Any, ...]:
    if isinstance(values, str):
        data = b64decode(values, validate=True)
        values = struct.unpack(f"<{len(data) // 8}d", data)
    elif not isinstance(values, list):
        raise TypeError("a list is missing")
    return tuple(read(value) for value in values)


def _logs(values: Any) -> tuple[float, ...]:
    return _each(_number, values)


def _maybe(value: Any) -> float | None:
    return None if value is None else _number(value)


def _number(value: Any, most: float = EXACT_INT_MAX) -> float:
    """A number that can be counted with: no sum or power of such numbers is beyond what a float holds."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= most:
        raise TypeError("a number is missing")
    return value


def _share(value: Any) -> float | None:
    share = _maybe(value)
    if share is not None and not 0 <= share <= 1:
        raise ValueError("a share is no share")
    return share


def _value(value: Any) -> float:
    return _number(value, LARGEST_GAUGE)


def _count(value: Any) -> int:
    number = _number(value)
    if number < 0 or number != int(number):
        raise TypeError("a count is missing")
    return int(number)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value
