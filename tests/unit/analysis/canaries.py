"""Canaries whose pods are probed, scraped and replaced in drawn orders, and what is said of them: in-process."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from modelward.analysis.counters import Counters
from modelward.analysis.idle import Idle, Own, own_requests
from modelward.analysis.judge import State, assess, begin, decode, encode, observe, with_idle
from modelward.analysis.noise import INDEPENDENT
from modelward.analysis.readings import Arm, PodReading, Poll, RatioReading
from modelward.analysis.verdict import Assessment, Step
from unit.analysis.samples import ERRORS, make_policy

_KINDS = {"readinessProbe": "httpGet", "livenessProbe": "httpGet", "startupProbe": "httpGet"}
EPOCH = 1_764_474_000.0


@dataclass(frozen=True, kw_only=True)
class Life:
    """When a pod of the canary does what, seconds since the first poll."""

    name: str
    starts: float = 0.0
    """Its container, with counters at zero; startup probes are asked once a second from now on."""
    page: float = 0.0
    """Its page is open from now on."""
    ready: float = 0.0
    ends: float = float("inf")


@dataclass(frozen=True, kw_only=True)
class Canary:
    """A canary beside a stable that has requests enough."""

    lives: Sequence[Life]
    template: dict[str, object]
    counted: frozenset[str]
    """Which probes its server counts, by their names in the template; `scrape`, too."""
    weight_at: float
    users_per_second: float = 0.0
    """To all pods together."""
    evenly: bool = False
    interval: float = 5.0
    seconds: float = 900.0
    step_max_seconds: float = 600.0
    restarts: Sequence[float] = field(default_factory=tuple)
    """When the operator starts anew, with nothing but what was remembered."""

    def own(self) -> Own:
        """What is asked of its pods."""
        return own_requests(self.template, self.interval)


def probed(**periods: int) -> dict[str, object]:
    """A template with these probes, by their periods: `readinessProbe=5`."""
    kind = {name: {_KINDS[name]: {}, "periodSeconds": period} for name, period in periods.items()}
    return {"spec": {"containers": [kind]}}


def played(canary: Canary, random: Generator) -> list[tuple[float, Assessment, State]]:
    """What is said after each poll with weight, with its time."""
    policy = make_policy(
        ERRORS,
        interval_seconds=canary.interval,
        own=canary.own(),
        step_min_seconds=30,
        step_max_seconds=canary.step_max_seconds,
    )
    asked = {life.name: _asked(canary, life, random) for life in canary.lives}
    scrapes = dict.fromkeys(asked, 0)
    idle, counters, state = Idle(), Counters(), begin(policy, INDEPENDENT)
    said = []
    restarts = list(canary.restarts)
    for number in range(int(canary.seconds / canary.interval)):
        time = canary.interval * number + float(random.uniform(0, 0.02))
        if restarts and time > restarts[0]:
            restarts.pop(0)
            idle, counters = Idle(), Counters()
        weight = 25.0 if time >= canary.weight_at else 0.0
        poll = _poll(canary, asked, scrapes, time, weight)
        idle = idle.plus(poll)
        state = with_idle(policy, state, idle)
        if weight:
            counters, sample = counters.advance(poll)
            state = observe(policy, state, sample) if sample else state
            step = Step(
                time=poll.time, started=EPOCH + canary.weight_at, weight_percent=25, next_weight_percent=100
            )
            said.append((time, assess(policy, state, step), state))
        state = decode(encode(state))
    return said


def _poll(
    canary: Canary, asked: dict[str, np.ndarray], scrapes: dict[str, int], time: float, weight: float
) -> Poll:
    pods = [
        PodReading(
            pod="stable",
            arm=Arm.STABLE,
            metrics={"errors": RatioReading(hits=0, total=10_000.0 + int(60 * time))},
            started=EPOCH - 9999,
            ready_since=EPOCH - 9000,
        )
    ]
    for life in canary.lives:
        if not max(life.starts, life.page) <= time < life.ends:
            continue
        total = float(np.searchsorted(asked[life.name], time)) + scrapes[life.name]
        scrapes[life.name] += "scrape" in canary.counted
        pods.append(
            PodReading(
                pod=life.name,
                arm=Arm.CANARY,
                metrics={"errors": RatioReading(hits=0, total=total)},
                started=float(int(EPOCH + life.starts)),
                ready_since=float(int(EPOCH + life.ready)) if time >= life.ready else None,
            )
        )
    return Poll(time=EPOCH + time, weight_percent=weight, pods=tuple(pods))


def _asked(canary: Canary, life: Life, random: Generator) -> np.ndarray:
    """When the server of a pod counts a request, but for the readings of its page."""
    ends = min(life.ends, canary.seconds)
    times = [_users(canary, life, ends, random)]
    for name, probe in canary.template["spec"]["containers"][0].items():  # type: ignore[index]
        if name not in canary.counted:
            continue
        period = probe["periodSeconds"]
        begins, stops = (life.starts, life.ready) if name == "startupProbe" else (life.ready, ends)
        first = begins + random.uniform(0, period)
        at = np.arange(first, max(first, stops), period)
        # A probe is answered within its timeout of a second, now and then at its end.
        times.append(at + random.choice([0.002, 0.9], size=len(at), p=[0.9, 0.1]))
    return np.sort(np.concatenate(times))


def _users(canary: Canary, life: Life, ends: float, random: Generator) -> np.ndarray:
    begins = max(life.ready, canary.weight_at)
    rate = canary.users_per_second / sum(1 for each in canary.lives if each.ends == life.ends)
    if not rate or ends <= begins:
        return np.empty(0)
    if canary.evenly:
        return np.arange(begins, ends, 1 / rate)
    return random.uniform(begins, ends, size=random.poisson(rate * (ends - begins)))
