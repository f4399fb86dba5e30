"""The scenarios: what is done in one run, and what is measured of it."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bench.analysis.latency import MEDIAN_MS, SIGMA
from bench.canaries import predicted
from bench.canaries.models import Faults
from bench.canaries.predicted import Circumstances, Prediction
from bench.canaries.rollout import Outcome, Rollout, last
from modelward.api.times import parse

WEIGHT_PERCENT: Final = 10
STABLE_ERRORS: Final = 0.001
CANARY_ERRORS: Final = 0.05
SLOWER: Final = 2.0
DEADLINE_SECONDS: Final = 10
VERDICT_SECONDS: Final = 240.0
"""A bad canary that was not found by then is a miss."""
WALK_SECONDS: Final = 180.0
ANSWERS: Final = 10
"""Of a canary, before it is aborted."""

Run = Callable[[Rollout], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of rollout."""

    title: str
    run: Run
    wanted: str
    """The result in history."""
    rollout: dict[str, Any]
    routed: bool = True
    """Through the gateway; or without a router."""
    stable: Faults = field(default_factory=dict)
    part: float = 1.0
    """Of the runs that are asked for."""
    with_history: bool = False
    """Stable is under load for a while before the first rollout, so that its noise is known."""
    prediction: Callable[[Circumstances, tuple[float, ...]], Prediction] | None = None
    """What the simulation says, given phi."""
    metric: str = ""
    """The one whose phi it is."""
    predicts: str = ""
    """The figure that the prediction is about."""
    targets: Mapping[str, float] = field(default_factory=dict)
    """Upper bound by figure."""
    note: str = ""


def _at_one_weight(**others: Any) -> dict[str, Any]:
    """It stays at its first weight until somebody or something ends it."""
    return {
        "steps": [{"weightPercent": WEIGHT_PERCENT}],
        "stepMinSeconds": 3600,
        "stepMaxSeconds": 7200,
        **others,
    }


FIRST_TO_WEIGHT_0: Final = "canary's first answer to weight 0"
FIRST_TO_LAST: Final = "canary's first to its last answer"
FAILED: Final = "failed requests"
EVENT_TO_WEIGHT_0: Final = "event to weight 0"
EVENT_TO_LAST: Final = "event to the canary's last answer"
EVENT_TO_LAST_KEPT: Final = "event to its last answer on a kept connection"
READY_TO_PROMOTED: Final = "first weight to promoted"
CANARY_ANSWERS: Final = "answers of the canary"


def judged(faults: Faults) -> Run:
    """A canary with these faults, from its first answer to its last."""

    async def run(rollout: Rollout) -> Outcome:
        revision = await rollout.change(faults)
        await rollout.wait_answers(revision, 1)
        first = rollout.load.of(revision)[0].ended
        entry = await rollout.ended(revision, VERDICT_SECONDS)
        if not entry:
            await rollout.command("abort", revision)
        weightless = await rollout.weightless(revision, first)
        await rollout.wait_gone(revision)
        answers = rollout.load.of(revision)
        times = {FIRST_TO_WEIGHT_0: weightless - first, FIRST_TO_LAST: (last(answers) or first) - first}
        failed = {FAILED: sum(answer.failed for answer in answers)}
        return rollout.outcome(
            entry.get("result", "missed"), entry.get("message", ""), times if entry else {}, **failed
        )

    return run


async def _taken_back(rollout: Rollout, revision: str, event: float) -> Outcome:
    """What follows an event that takes the canary back."""
    entry = await rollout.ended(revision, VERDICT_SECONDS)
    weightless = await rollout.weightless(revision, event)
    await rollout.wait_gone(revision)
    times = {EVENT_TO_WEIGHT_0: weightless - event}
    for title, kept in ((EVENT_TO_LAST, None), (EVENT_TO_LAST_KEPT, True)):
        end = last(rollout.load.of(revision, kept=kept))
        if end is not None:
            times[title] = max(0.0, end - event)
    return rollout.outcome(entry.get("result", "not ended"), entry.get("message", ""), times)


async def aborted(rollout: Rollout) -> Outcome:
    """A good canary that somebody aborts while all kinds of clients use it."""
    revision = await rollout.change({})
    await rollout.wait_answers(revision, ANSWERS)
    await rollout.wait_answers(revision, 1, kept=True)
    event = await rollout.command("abort", revision)
    return await _taken_back(rollout, revision, event)


async def crashing(rollout: Rollout) -> Outcome:
    """A canary whose server ends after so many answers; the event is the first request that gets none."""
    revision = await rollout.change({"crash_after_requests": "30"})
    await rollout.wait_answers(revision, 1)
    await rollout.sight.until(
        lambda: any(answer.lost for answer in rollout.load.answers), "it crashes", VERDICT_SECONDS
    )
    event = next(answer.ended for answer in rollout.load.answers if answer.lost)
    return await _taken_back(rollout, revision, event)


async def never_loading(rollout: Rollout) -> Outcome:
    """A canary that is never ready; the event is its deadline, which counts from the node of its last pod."""
    revision = await rollout.change({"load_seconds": "3600"})
    scheduled: list[str] = []
    while not scheduled:
        scheduled = [
            condition["lastTransitionTime"]
            for pod in await rollout.pods(revision)
            for condition in pod["status"].get("conditions", [])
            if condition["type"] == "PodScheduled" and condition["status"] == "True"
        ]
    entry = await rollout.ended(revision, VERDICT_SECONDS)
    seen = time.monotonic()
    deadline = parse(max(scheduled)).timestamp() + DEADLINE_SECONDS - (time.time() - seen)
    await rollout.wait_gone(revision)
    answers = {CANARY_ANSWERS: len(rollout.load.of(revision))}
    times = {"deadline to taken back (the deadline is known to a second)": seen - deadline}
    return rollout.outcome(entry.get("result", "not ended"), entry.get("message", ""), times, **answers)


def walking(faults: Faults) -> Run:
    """A version as good as stable, which walks its steps."""

    async def run(rollout: Rollout) -> Outcome:
        revision = await rollout.change(faults)
        await rollout.wait_weight(revision)
        began = time.monotonic()
        entry = await rollout.ended(revision, WALK_SECONDS)
        ended = time.monotonic()
        if not entry:
            held = str(rollout.status.get("analysis", {}).get("message", ""))
            await rollout.command("abort", revision)
            await rollout.wait_quiet()
            return rollout.outcome("held", held, {})
        await rollout.wait_quiet()
        restarts = sum(
            container["restartCount"]
            for pod in await rollout.pods(revision)
            for container in pod["status"].get("containerStatuses", [])
        )
        times = {READY_TO_PROMOTED: ended - began}
        return rollout.outcome(entry["result"], entry.get("message", ""), times, restarts=restarts)

    return run


def _slow(factor: float) -> Faults:
    median = factor * MEDIAN_MS / 1000
    return {"added_latency_seconds": f"{median:g}", "latency_sigma": f"{SIGMA:g}"}


_USUAL_ERRORS: Final = {"error_rate": f"{STABLE_ERRORS:g}"}
_SHORT_WALK: Final = {
    "steps": [{"weightPercent": 25}, {"weightPercent": 50}],
    "stepMinSeconds": 10,
    "stepMaxSeconds": 60,
    "keepPreviousSeconds": 3,
}
_ONE_STEP: Final = {**_SHORT_WALK, "steps": [{"weightPercent": 50}], "stepMinSeconds": 5}
_LOST: Final = {"requests that no server answered": 0.0}

SCENARIOS: Final[dict[str, Scenario]] = {
    "errors": Scenario(
        title="errors 0.1 -> 5 % at 10 % weight",
        run=judged({"error_rate": f"{CANARY_ERRORS:g}"}),
        wanted="RolledBack",
        rollout=_at_one_weight(),
        stable=_USUAL_ERRORS,
        with_history=True,
        prediction=lambda about, phi: predicted.errors(about, phi, STABLE_ERRORS, CANARY_ERRORS),
        metric="errors",
        predicts=FIRST_TO_WEIGHT_0,
        targets={FIRST_TO_LAST: 30.0, FAILED: 12.0},
        note="elsewhere on such a machine, at 60 requests/s, first to last answer and failed requests: Argo Rollouts"
        " 65-85 s and 16-28; Flagger 90 s and 23-28 at a 15 s interval, 360 s and 109 at 1 min",
    ),
    "latency": Scenario(
        title="latency x 2 (log-normal, median 60 ms) at 10 % weight",
        run=judged(_slow(SLOWER)),
        wanted="RolledBack",
        rollout=_at_one_weight(),
        stable=_slow(1.0),
        with_history=True,
        prediction=lambda about, phi: predicted.latency(about, phi, SLOWER),
        metric="latency",
        predicts=FIRST_TO_WEIGHT_0,
        note="the latency of a pod does not count in its first 60 s, here and in the simulation",
    ),
    "alike": Scenario(
        title="A/A: both versions with 0.1 % errors; steps of 25 and 50 % of 10 s instead of 120",
        run=walking(_USUAL_ERRORS),
        wanted="Promoted",
        rollout=_SHORT_WALK,
        stable=_USUAL_ERRORS,
        with_history=True,
    ),
    "crash": Scenario(
        title="crash under load after 30 answers",
        run=crashing,
        wanted="RolledBack",
        rollout=_at_one_weight(),
        targets={EVENT_TO_WEIGHT_0: 15.0},
        note="the event is the first request that got no answer",
    ),
    "never-loads": Scenario(
        title=f"never loads, deadline of {DEADLINE_SECONDS} s",
        run=never_loading,
        wanted="RolledBack",
        rollout=_at_one_weight(progressDeadlineSeconds=DEADLINE_SECONDS),
        routed=False,
        targets={CANARY_ANSWERS: 0.0, **_LOST},
    ),
    "abort": Scenario(
        title="aborted through the gateway",
        run=aborted,
        wanted="Aborted",
        rollout=_at_one_weight(),
        targets=_LOST,
    ),
    "abort-service": Scenario(
        title="aborted without a router",
        run=aborted,
        wanted="Aborted",
        rollout=_at_one_weight(),
        routed=False,
        targets=_LOST,
    ),
    "promote": Scenario(
        title="promoted through the gateway, one step of 50 %",
        run=walking({}),
        wanted="Promoted",
        rollout=_ONE_STEP,
        part=0.5,
        targets={**_LOST, "restarts": 0.0},
    ),
    "promote-service": Scenario(
        title="promoted without a router, one step of 50 %",
        run=walking({}),
        wanted="Promoted",
        rollout=_ONE_STEP,
        routed=False,
        part=0.5,
        targets={**_LOST, "restarts": 0.0},
    ),
}
