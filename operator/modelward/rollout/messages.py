"""What a rollout does or waits for, in one sentence: `status.rollout.message`, and the message of conditions.

Nothing in it counts seconds: messages that change by the clock alone would be writes for nothing.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from modelward.api.status import clip
from modelward.api.times import format_seconds, parse
from modelward.rollout import health, readiness, steps, traffic
from modelward.rollout.capacity import sizes
from modelward.rollout.decision import Progress
from modelward.rollout.holding import is_held
from modelward.rollout.observed import Observed
from modelward.rollout.phases import WAITING, Phase
from modelward.traffic_shares import Router, Size, router

_UNEQUAL: Final = 2.0
"""A load per pod that differs by more than this factor is in the message."""


def with_message(observed: Observed, progress: Progress) -> Progress:
    """The same, with its message."""
    if progress.status.rollout is None:
        return progress
    message = " ".join(part for part in _sentences(observed, progress) if part)
    actual = traffic.actual_weight_percent(observed, progress.status)
    return progress.rolling(message=clip(message), actual_weight_percent=actual)


def count(observed: Observed, size: Size | None, revision: str) -> str:
    """How many pods of a revision are ready, of how many."""
    deployment = observed.deployment(revision)
    if deployment is None:
        return "its pods are being created"
    scale = size.scale if size else None
    of = deployment.replicas if scale is None else max(scale, deployment.replicas)
    # While pods are being ended there may be more than asked for.
    return f"{min(deployment.ready, of)} of {of} pods ready"


def _sentences(observed: Observed, progress: Progress) -> Iterator[str]:
    status, phase = progress.status, progress.phase
    yield _of_phase(observed, progress)
    if status.canary_revision and phase is not Phase.ROLLING_BACK:
        if phase is Phase.ANALYZING or phase in WAITING:
            yield _share(observed, progress)
            yield _load(observed, progress)
        if progress.rollout.weight_percent:
            yield _stable(observed, progress)
        if suffering := health.shared(observed, status):
            until = ", and is not promoted until it is over" if is_held(observed, status) else ""
            yield f"{suffering[0].upper()}{suffering[1:]}{until}."
        yield _way_out(observed, progress)


def _of_phase(observed: Observed, progress: Progress) -> str:
    if progress.phase in WAITING:
        return _waiting(observed, progress)
    message_of = _MESSAGES.get(progress.phase)
    return message_of(observed, progress) if message_of else ""


def _deploying(observed: Observed, progress: Progress) -> str:
    return _starting(observed, progress, progress.status.stable_revision)


def _scaling_up(observed: Observed, progress: Progress) -> str:
    canary, weight = progress.status.canary_revision, progress.rollout.weight_percent
    if not weight:
        return f"{_starting(observed, progress, canary)} {_beside(observed, progress)}"
    step = steps.name_of(observed.asked.steps, progress.rollout.step)
    return f"Canary {canary} at {weight}% gets its pods for {step}: {_count(observed, progress, canary)}."


def _analyzing(observed: Observed, progress: Progress) -> str:
    """What the judge says, or why its clock does not run yet."""
    planned, rollout = observed.asked.steps, progress.rollout
    canary, analysis = progress.status.canary_revision, progress.status.analysis
    effect = traffic.in_effect(observed, progress.status)
    if rollout.step_start_time and analysis and analysis.message:
        place = steps.place_of(planned, rollout.step)
        return f"Canary {canary}, {place}: {_judged(progress)} {_sentence(effect.message)}".rstrip()
    begun = f"Canary {canary}, {steps.name_of(planned, rollout.step)}:"
    if not rollout.step_start_time:
        why = (effect.message or "no pod of it is ready").removesuffix(".")
        return f"{begun} its clock starts when traffic is split; {why}."
    end = _end_of_step(observed, progress)
    return f"{begun} {_without_metrics(observed)} It goes on at {end} at the earliest. {_sentence(effect.message)}".rstrip()


def _judged(progress: Progress) -> str:
    """What the judge says, and of when: it is written later than it is measured."""
    analysis = progress.status.analysis
    if analysis is None or not analysis.message:
        return ""
    if not analysis.last_sample_time:
        return f"{analysis.message} (Nothing has been measured yet.)"
    return f"{analysis.message} (Measured until {format_seconds(parse(analysis.last_sample_time))}.)"


def _promoting(observed: Observed, progress: Progress) -> str:
    canary = progress.status.canary_revision
    if readiness.has_size_of_step(observed, progress.status):
        how = traffic.in_effect(observed, progress.status).message or "it gets all traffic"
    else:
        how = f"it gets its full size, {_count(observed, progress, canary)}"
    return f"Canary {canary} is promoted: {how}."


def _watching(observed: Observed, progress: Progress) -> str:
    end = _after(progress, observed.model.spec.rollout.keep_previous_seconds)
    return f"Revision {progress.status.previous_revision} is kept warm until {end}."


def _rolling_back(observed: Observed, progress: Progress) -> str:
    return f"Traffic leaves revision {progress.status.canary_revision}; {_beside(observed, progress)}"


def _draining(_: Observed, progress: Progress) -> str:
    return f"Revision {progress.status.previous_revision} finishes what it has."


_MESSAGES: Final = {
    Phase.DEPLOYING: _deploying,
    Phase.SCALING_UP: _scaling_up,
    Phase.ANALYZING: _analyzing,
    Phase.PROMOTING: _promoting,
    Phase.WATCHING: _watching,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.DRAINING: _draining,
}


def _starting(observed: Observed, progress: Progress, revision: str) -> str:
    keeps = readiness.what_keeps(observed, revision).rstrip(".")
    return f"Revision {revision}: {_count(observed, progress, revision)}; {keeps}."


def _beside(observed: Observed, progress: Progress) -> str:
    stable = progress.status.stable_revision
    return f"{stable} {readiness.goes_on(observed, progress.status)}."


def _stable(observed: Observed, progress: Progress) -> str:
    """What is seen of stable beside a canary that has traffic, if it is not whole."""
    status = progress.status
    stable, canary = status.stable_revision, status.canary_revision
    if readiness.is_whole(observed, status, stable):
        return ""
    keeps = readiness.what_keeps(observed, stable).rstrip(".")
    seen = f"Stable {stable}: {_count(observed, progress, stable)}; {keeps}"
    if readiness.serves(observed, stable) or not readiness.serves(observed, canary):
        return f"{seen}."
    if router(observed.model.spec) is Router.NONE or progress.rollout.weight_percent == steps.WHOLE:
        return f"{seen}: canary {canary} answers all requests."
    return f"{seen}: the requests of its share fail."


def _count(observed: Observed, progress: Progress, revision: str) -> str:
    return count(observed, sizes(observed, progress.status).get(revision), revision)


def _without_metrics(observed: Observed) -> str:
    if observed.model.spec.analysis.metrics:
        return "judged by the health of its pods alone, because its runtime has none of the signals of spec.analysis."
    return "judged by the health of its pods alone, because its runtime declares no signals."


def _waiting(observed: Observed, progress: Progress) -> str:
    planned, rollout = observed.asked.steps, progress.rollout
    at = f"Canary {progress.status.canary_revision} at {rollout.weight_percent}%"
    analysis = _judged(progress)
    match progress.phase:
        case Phase.AWAITING_APPROVAL:
            step = steps.step_above(planned, rollout.weight_percent)
            return f"{at} waits for approval of {steps.name_of(planned, step)}."
        case Phase.PAUSED:
            return f"{at} is paused by spec.rollout.paused. {analysis}".rstrip()
        case Phase.METRICS_UNAVAILABLE:
            problem = observed.evidence.problem
            return f"{at} waits: metrics cannot be had. {_sentence(problem.message) if problem else analysis}".rstrip()
        case _:
            return f"{at}: {analysis} It waits for more evidence, or for a command."


def _way_out(observed: Observed, progress: Progress) -> str:
    """What a person may type, at the end, so that it can be copied."""
    canary = progress.status.canary_revision
    match progress.phase:
        case Phase.AWAITING_APPROVAL:
            step = steps.step_above(observed.asked.steps, progress.rollout.weight_percent)
            return f"Approve: {_command(observed, 'approve', f'{canary}/{step}')}"
        case Phase.INCONCLUSIVE | Phase.METRICS_UNAVAILABLE:
            promote, abort = (_command(observed, name, canary) for name in ("promote", "abort"))
            return f"Promote: {promote} - or take it back: {abort}"
        case _:
            return ""


def _command(observed: Observed, name: str, value: str) -> str:
    model = observed.model
    return f"kubectl annotate mwd {model.name} -n {model.namespace} --overwrite modelward.dev/{name}={value}"


def _end_of_step(observed: Observed, progress: Progress) -> str:
    return _after(progress, observed.model.spec.rollout.step_min_seconds)


def _after(progress: Progress, seconds: int) -> str:
    began = progress.rollout.step_start_time
    return format_seconds(parse(began) + timedelta(seconds=seconds)) if began else "a later time"


def _share(observed: Observed, progress: Progress) -> str:
    """Without a router: the share that is wanted and cannot be had. Before its first step a canary has none."""
    if router(observed.model.spec) is not Router.NONE or not progress.rollout.weight_percent:
        return ""
    size = sizes(observed, progress.status)
    status, wanted = progress.status, progress.rollout.weight_percent
    canary, stable = size.get(status.canary_revision), size.get(status.stable_revision)
    if canary is None or stable is None or canary.scale is None:
        return ""
    beside = stable.scale
    if beside is None:
        deployment = observed.deployment(status.stable_revision)
        beside = deployment.replicas if deployment else 0
    share = round(steps.WHOLE * canary.scale / max(1, canary.scale + beside))
    if share == wanted:
        return ""
    pods = f"{canary.scale} of {canary.scale + beside} pods"
    kind = "smallest" if share > wanted else "nearest"
    return f"Its share is about {share}% ({pods}): the {kind} that pods can make of {wanted}%; spec.traffic splits exactly."


def _load(observed: Observed, progress: Progress) -> str:
    factor = traffic.load_factor(observed, progress.status)
    if factor > _UNEQUAL:
        return f"Each of its pods carries {factor:.1f} times what one of stable's does, so its latency does not count."
    if factor < 1 / _UNEQUAL:
        return f"Each of its pods carries {factor:.2f} times what one of stable's does, so it may seem faster than it is."
    return ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""
