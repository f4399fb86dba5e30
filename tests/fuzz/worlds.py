"""Worlds for `decide`: a model with any spec that the API server takes and any status, and a cluster around it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from builders import NAME, before, make_deployment, make_model, make_observed, make_pod, make_service
from builders.rollouts import GATEWAY, REVISIONS, ROUTE_REF, A, B, C, follow
from fuzz.source import Source
from fuzz.typed import typed
from modelward.analysis.counters import BucketCounts, Increment, RatioCounts, Sample, Values
from modelward.analysis.sampled_evidence import Evidence, MetricsProblem, Unknown
from modelward.api import names
from modelward.api.analysis_policy import AnalysisPolicy
from modelward.api.decode import decode_status
from modelward.api.revision import Revision, revision_fields, revision_hash
from modelward.api.rollout_policy import RolloutPolicy
from modelward.api.scaling_policy import Autoscaling
from modelward.api.status import ModelDeploymentStatus
from modelward.rollout.observed import Deployment, Exit, NameConflict, Observed, Pod, Route, Turn
from modelward.rollout.phases import Phase
from modelward.runtimes import choose as choosing

GONE: Final = "gone"
"""A revision that no snapshot is left of."""
_COMMANDS: Final = ("abort", "promote", "approve", "retry", "restart", "refresh", "rollback", "adopt")
_SIGNALS: Final = {
    "signals": {
        "errors": {"hits": "errors_total", "total": "requests_total"},
        "latency": {"histogram": "latency_seconds"},
    }
}


def world(source: Source) -> Observed:
    """Any world."""
    spec = _spec(source)
    revisions = (*REVISIONS, *_odd_revisions(source))
    status = _status(source, [each.name for each in revisions])
    model = make_model(
        source.pick("213"),
        status=status,
        commands=_commands(source),
        generation=1 + source.whole(3),
        **spec,
    )
    live = source.some([each.name for each in revisions])
    observed = make_observed(
        model,
        *(_deployment(source, name) for name in live),
        revisions=[each for each in revisions if source.whole(15) != 15],
        pods=[_pod(source, live, number) for number in range(source.whole(3))],
        conflicts=source.some([NameConflict(kind="Service", name=NAME, owner="somebody else")]),
    )
    service = replace(make_service(A), selects=source.pick((None, A, B, GONE)))
    return replace(
        observed,
        service=source.pick((service, None)),
        route=_route(source, observed),
        evidence=_evidence(source),
        turn=Turn(granted=False, place=1, waiting=2, running=3, limit=3) if source.chance(8) else Turn(),
        refusals=(source.text(),) if source.chance(16) else (),
    )


def _spec(source: Source) -> dict[str, Any]:
    """The parts of spec that decide how a change goes out; rules that the API server checks are kept."""
    spec: dict[str, Any] = {
        "replicas": source.between(0, 50),
        "rollout": _rollout(source) if source.chance() else {"strategy": "Canary"},
        "traffic": source.pick((None, GATEWAY, ROUTE_REF)),
        "autoscaling": _autoscaling(source) if source.chance(4) else None,
        "runtime": {"image": "registry.example.com/shop/fraud:1", **(_SIGNALS if source.chance() else {})},
    }
    if source.chance():
        spec["analysis"] = typed(source, AnalysisPolicy)
    return spec


def _rollout(source: Source) -> dict[str, Any]:
    raw = typed(source, RolloutPolicy)
    raw["stepMaxSeconds"] = max(raw.get("stepMinSeconds", 120), raw.get("stepMaxSeconds", 600))
    steps = {step["weightPercent"]: step for step in raw.pop("steps", ())}
    if raw.get("strategy", "Canary") == "Canary" and steps:
        raw["steps"] = [steps[weight] for weight in sorted(steps)]
    return raw


def _autoscaling(source: Source) -> dict[str, Any]:
    raw = typed(source, Autoscaling)
    return {**raw, "maxReplicas": max(raw.get("minReplicas", 1), raw["maxReplicas"])}


def _commands(source: Source) -> dict[str, str]:
    values = (B, A, C, GONE, f"{B}/1", f"{A}/1", f"{B}/99", f"{B}/\u0661", f"{B}/-1", "", "x")
    return {
        source.pick(_COMMANDS): source.pick(values) if source.chance() else source.text(300)
        for _ in range(source.whole(2))
    }


# --- status -------------------------------------------------------------------------------------------------


def _status(source: Source, revisions: list[str]) -> ModelDeploymentStatus:
    """Anything that decodes, mostly with revisions and phases that mean something."""
    status = decode_status(typed(source, ModelDeploymentStatus, spoiled=source.chance(4))).status
    known = [*revisions, "", GONE]
    if source.whole(7) != 7:
        status = msgspec.structs.replace(
            status,
            stable_revision=source.pick(known),
            canary_revision=source.pick(["", *known]),
            previous_revision=source.pick(["", *known]),
        )
    if status.rollout and source.whole(7) != 7:
        status = msgspec.structs.replace(status, rollout=_under_way(source, status.rollout))
    if source.chance():
        status = msgspec.structs.replace(status, analysis=None)
    # A number that nothing can follow is the one thing that a hand can spoil for good.
    numbers = {name: min(getattr(status, name), 10**9) for name in ("decision", "revision_nonce")}
    return msgspec.structs.replace(status, **numbers)


def _under_way(source: Source, rollout: Any) -> Any:
    return msgspec.structs.replace(
        rollout,
        state=source.pick([*map(str, Phase), "", "FromTheFuture"]),
        start_time=_time(source),
        step_start_time=_time(source),
        shared_replicas=source.pick((None, 0, 1, 2, 7, 10_000)),
    )


def _time(source: Source) -> str | None:
    seconds = source.pick((0, 1, 59, 121, 700, 10_000, -5, -10_000))
    return source.pick((before(seconds).isoformat(), None, source.word()[:35]))


def _odd_revisions(source: Source) -> list[Revision]:
    """Snapshots that another version, or a hand, has left: all that can be read as one."""
    return [_odd_revision(source, number) for number in range(source.whole(2))]


def _odd_revision(source: Source, number: int) -> Revision:
    base = source.pick(REVISIONS)
    fields = {**base.spec, "model": {"version": source.word()}, "podLabels": {"odd": str(number)}}
    name = revision_hash(revision_fields(fields), number)
    template = {**base.template, "metadata": {"labels": names.revision_labels(NAME, name)}}
    return replace(
        base,
        name=name,
        template=template,
        content=revision_hash(revision_fields(fields)),
        number=source.pick((0, 1, 3, 99, 2**31)),
        spec=source.pick((fields, {}, {"model": {}}, {"runtime": {"ports": {"http": 1}}})),
        runtime=source.pick(
            (base.runtime, {}, {"image": "a"}, {"kind": "ModelRuntime", "name": "a", "spec": {}})
        ),
        cause=source.text(),
        verdict=source.text() if source.chance() else "",
    )


# --- the cluster --------------------------------------------------------------------------------------------


def _deployment(source: Source, revision: str) -> Deployment:
    replicas = source.between(0, 50)
    return replace(
        make_deployment(revision, replicas=replicas, ready=source.between(0, replicas + 1)),
        current=source.between(0, replicas + 2),
        failure=source.text() if source.chance(16) else "",
        owns_replicas=source.chance(),
        created=before(source.pick((600, 0, 10_000_000, -60))),
    )


def _pod(source: Source, revisions: list[str], number: int) -> Pod:
    facts: Mapping[str, Any] = {
        "created": before(source.whole(4000)),
        "started": source.pick((None, before(source.whole(4000)))),
        "ready_since": source.pick((None, before(source.whole(4000)))),
        "lost_readiness": source.chance(4),
        "restarts": source.between(0, 2**31 - 1),
        "ended": source.pick(
            (None, Exit(container="a", code=source.pick((0, 1, 137)), reason=source.word()))
        ),
        "crash_looping": source.pick(("", source.word())),
        "failed": source.pick(("", "Evicted")),
        "over_storage_limit": source.chance(8),
    }
    return make_pod(
        source.pick([*revisions, A]),
        scheduled=source.pick((None, 1.0, 60.0, 100_000.0, -5.0)),
        ready=source.chance(),
        problem=source.pick(("", source.text(2000))),
        name=f"p{number}",
        **facts,
    )


def _route(source: Source, observed: Observed) -> Route | None:
    route = follow(observed, observed.model.status).route
    if route is None or source.chance():
        return route
    services = (
        NAME,
        names.canary_service_name(NAME),
        *(names.revision_service_name(NAME, name) for name in (A, B)),
    )
    return replace(
        route,
        exists=source.chance(),
        opted_in=source.chance(),
        answered=source.chance(),
        accepted=source.chance(),
        resolved=source.chance(),
        rules=tuple(
            tuple((source.pick(services), source.between(0, 1_000_000)) for _ in range(source.whole(3)))
            for _ in range(source.whole(2))
        ),
        message=source.text(2000),
    )


def _evidence(source: Source) -> Evidence:
    problem = MetricsProblem(reason=source.pick(list(Unknown)), message=source.text(2000))
    times = sorted(before(source.whole(900)).timestamp() for _ in range(source.whole(3)))
    return Evidence(
        problem=problem if source.chance(4) else None,
        samples=tuple(_sample(source, time) for time in times),
    )


def _sample(source: Source, time: float) -> Sample:
    return Sample(
        time=time,
        weight_percent=source.pick((5, 0, 25, 50, 100)),
        metrics={name: _increment(source) for name in source.some(("errors", "latency", "a", "a-b"))},
    )


def _increment(source: Source) -> Increment:
    match source.whole(2):
        case 0:
            pairs = [_ratio(source), _ratio(source)]
            return Increment(canary=pairs[0], stable=pairs[1], pods=(("p0", pairs[0].hits),))
        case 1:
            return Increment(canary=_buckets(source), stable=_buckets(source))
        case _:
            canary, stable = (Values(sum=float(source.whole(10**6)), number=1) for _ in range(2))
            return Increment(canary=canary, stable=stable)


def _ratio(source: Source) -> RatioCounts:
    total = source.between(0, 10**6)
    return RatioCounts(hits=float(source.between(0, total)), total=float(total))


def _buckets(source: Source) -> BucketCounts:
    counts = sorted(float(source.between(0, 10**5)) for _ in range(3))
    return BucketCounts(bounds=(0.1, 1.0, float("inf")), cumulative=tuple(counts))


def runtime_of(revision: Revision) -> choosing.Choice:
    """The runtime that a snapshot has pinned."""
    return choosing.pinned(revision.runtime)
