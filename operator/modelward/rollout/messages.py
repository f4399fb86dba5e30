"""What people read of a model: what its rollout does or waits for, and that an edit of its objects was undone.

The first is `status.rollout.message`, and part of conditions. Nothing in it counts seconds: messages that change by the
clock alone would be writes for nothing. The second is an Event for whoever made the edit, with the command that does what
they meant.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from modelward.api.model import Model
from modelward.api.rollout_policy import WHOLE
from modelward.api.status import clip
from modelward.api.times import format_seconds, parse
from modelward.rollout import health, readiness, traffic
from modelward.rollout.decision import Announcement, Decision
from modelward.rollout.holding import is_held
from modelward.rollout.observed import Child, Deployment, Observed
from modelward.rollout.phases import WAITING, Phase
from modelward.traffic_shares import Router, Size, router

_UNEQUAL: Final = 2.0
"""A load per pod that differs by more than this factor is in the message."""


# --- the rollout --------------------------------------------------------------------------------------------


def with_message(observed: Observed, decision: Decision) -> Decision:
    """The same, with its message."""
    if decision.status.rollout is None:
        return decision
    message = " ".join(part for part in _sentences(observed, decision) if part)
    actual = traffic.actual_weight_percent(observed, decision.status)
    return decision.rolling(message=clip(message), actual_weight_percent=actual)


def count(observed: Observed, size: Size | None, revision: str) -> str:
    """How many pods of a revision are ready, of how many."""
    deployment = observed.deployment(revision)
    if deployment is None:
        return "its pods are being created"
    scale = size.scale if size else None
    of = deployment.replicas if scale is None else max(scale, deployment.replicas)
    # While pods are being ended there may be more than asked for.
    return f"{min(deployment.ready, of)} of {of} pods ready"


def _sentences(observed: Observed, decision: Decision) -> Iterator[str]:
    status, phase = decision.status, decision.phase
    yield _of_phase(observed, decision)
    if status.canary_revision and phase is not Phase.ROLLING_BACK:
        if phase is Phase.ANALYZING or phase in WAITING:
            yield _share(observed, decision)
            yield _load(observed, decision)
        if decision.rollout.weight_percent:
            yield _stable(observed, decision)
        if suffering := health.shared(observed, status):
            until = ", and is not promoted until it is over" if is_held(observed, status) else ""
            yield f"{suffering[0].upper()}{suffering[1:]}{until}."
        yield _way_out(observed, decision)


def _of_phase(observed: Observed, decision: Decision) -> str:
    if decision.phase in WAITING:
        return _waiting(observed, decision)
    message_of = _MESSAGES.get(decision.phase)
    return message_of(observed, decision) if message_of else ""


def _deploying(observed: Observed, decision: Decision) -> str:
    return _starting(observed, decision, decision.status.stable_revision)


def _scaling_up(observed: Observed, decision: Decision) -> str:
    canary, weight = decision.status.canary_revision, decision.rollout.weight_percent
    if not weight:
        return f"{_starting(observed, decision, canary)} {_beside(observed, decision)}"
    step = observed.asked.steps.name_of(decision.rollout.step)
    return f"Canary {canary} at {weight}% gets its pods for {step}: {_count(observed, decision, canary)}."


def _analyzing(observed: Observed, decision: Decision) -> str:
    """What the judge says, or why its clock does not run yet."""
    planned, rollout = observed.asked.steps, decision.rollout
    canary, analysis = decision.status.canary_revision, decision.status.analysis
    effect = traffic.in_effect(observed, decision.status)
    if rollout.step_start_time and analysis and analysis.message:
        place = planned.place_of(rollout.step)
        return f"Canary {canary}, {place}: {_judged(decision)} {_sentence(effect.message)}".rstrip()
    begun = f"Canary {canary}, {planned.name_of(rollout.step)}:"
    if not rollout.step_start_time:
        why = (effect.message or "no pod of it is ready").removesuffix(".")
        return f"{begun} its clock starts when traffic is split; {why}."
    end = _end_of_step(observed, decision)
    return f"{begun} {_without_metrics(observed)} It goes on at {end} at the earliest. {_sentence(effect.message)}".rstrip()


def _judged(decision: Decision) -> str:
    """What the judge says, and of when: it is written later than it is measured."""
    analysis = decision.status.analysis
    if analysis is None or not analysis.message:
        return ""
    if not analysis.last_sample_time:
        return f"{analysis.message} (Nothing has been measured yet.)"
    return f"{analysis.message} (Measured until {format_seconds(parse(analysis.last_sample_time))}.)"


def _promoting(observed: Observed, decision: Decision) -> str:
    canary = decision.status.canary_revision
    if readiness.has_size_of_step(observed, decision.status):
        how = traffic.in_effect(observed, decision.status).message or "it gets all traffic"
    else:
        how = f"it gets its full size, {_count(observed, decision, canary)}"
    return f"Canary {canary} is promoted: {how}."


def _watching(observed: Observed, decision: Decision) -> str:
    end = _after(decision, observed.model.spec.rollout.keep_previous_seconds)
    return f"Revision {decision.status.previous_revision} is kept warm until {end}."


def _rolling_back(observed: Observed, decision: Decision) -> str:
    return f"Traffic leaves revision {decision.status.canary_revision}; {_beside(observed, decision)}"


def _draining(_: Observed, decision: Decision) -> str:
    return f"Revision {decision.status.previous_revision} finishes what it has."


_MESSAGES: Final = {
    Phase.DEPLOYING: _deploying,
    Phase.SCALING_UP: _scaling_up,
    Phase.ANALYZING: _analyzing,
    Phase.PROMOTING: _promoting,
    Phase.WATCHING: _watching,
    Phase.ROLLING_BACK: _rolling_back,
    Phase.DRAINING: _draining,
}


def _starting(observed: Observed, decision: Decision, revision: str) -> str:
    keeps = readiness.what_keeps(observed, revision).rstrip(".")
    return f"Revision {revision}: {_count(observed, decision, revision)}; {keeps}."


def _beside(observed: Observed, decision: Decision) -> str:
    stable = decision.status.stable_revision
    return f"{stable} {readiness.goes_on(observed, decision.status)}."


def _stable(observed: Observed, decision: Decision) -> str:
    """What is seen of stable beside a canary that has traffic, if it is not whole."""
    status = decision.status
    stable, canary = status.stable_revision, status.canary_revision
    if readiness.is_whole(observed, stable, decision.sizes.get(stable)):
        return ""
    keeps = readiness.what_keeps(observed, stable).rstrip(".")
    seen = f"Stable {stable}: {_count(observed, decision, stable)}; {keeps}"
    if readiness.serves(observed, stable) or not readiness.serves(observed, canary):
        return f"{seen}."
    if router(observed.model.spec) is Router.NONE or decision.rollout.weight_percent == WHOLE:
        return f"{seen}: canary {canary} answers all requests."
    return f"{seen}: the requests of its share fail."


def _count(observed: Observed, decision: Decision, revision: str) -> str:
    return count(observed, decision.sizes.get(revision), revision)


def _without_metrics(observed: Observed) -> str:
    if observed.model.spec.analysis.metrics:
        return "judged by the health of its pods alone, because its runtime has none of the signals of spec.analysis."
    return "judged by the health of its pods alone, because its runtime declares no signals."


def _waiting(observed: Observed, decision: Decision) -> str:
    planned, rollout = observed.asked.steps, decision.rollout
    at = f"Canary {decision.status.canary_revision} at {rollout.weight_percent}%"
    analysis = _judged(decision)
    match decision.phase:
        case Phase.AWAITING_APPROVAL:
            step = planned.step_above(rollout.weight_percent)
            return f"{at} waits for approval of {planned.name_of(step)}."
        case Phase.PAUSED:
            return f"{at} is paused by spec.rollout.paused. {analysis}".rstrip()
        case Phase.METRICS_UNAVAILABLE:
            problem = observed.evidence.problem
            return f"{at} waits: metrics cannot be had. {_sentence(problem.message) if problem else analysis}".rstrip()
        case _:
            return f"{at}: {analysis} It waits for more evidence, or for a command."


def _way_out(observed: Observed, decision: Decision) -> str:
    """What a person may type, at the end, so that it can be copied."""
    canary = decision.status.canary_revision
    match decision.phase:
        case Phase.AWAITING_APPROVAL:
            step = observed.asked.steps.step_above(decision.rollout.weight_percent)
            return f"Approve: {_command(observed, 'approve', f'{canary}/{step}')}"
        case Phase.INCONCLUSIVE | Phase.METRICS_UNAVAILABLE:
            promote, abort = (_command(observed, name, canary) for name in ("promote", "abort"))
            return f"Promote: {promote} - or take it back: {abort}"
        case _:
            return ""


def _command(observed: Observed, name: str, value: str) -> str:
    model = observed.model
    return f"kubectl annotate mwd {model.name} -n {model.namespace} --overwrite modelward.dev/{name}={value}"


def _end_of_step(observed: Observed, decision: Decision) -> str:
    return _after(decision, observed.model.spec.rollout.step_min_seconds)


def _after(decision: Decision, seconds: int) -> str:
    began = decision.rollout.step_start_time
    return format_seconds(parse(began) + timedelta(seconds=seconds)) if began else "a later time"


def _share(observed: Observed, decision: Decision) -> str:
    """Without a router: the share that is wanted and cannot be had. Before its first step a canary has none."""
    if router(observed.model.spec) is not Router.NONE or not decision.rollout.weight_percent:
        return ""
    status, wanted = decision.status, decision.rollout.weight_percent
    canary, stable = (decision.sizes.get(each) for each in (status.canary_revision, status.stable_revision))
    if canary is None or stable is None or canary.scale is None:
        return ""
    beside = stable.scale
    if beside is None:
        deployment = observed.deployment(status.stable_revision)
        beside = deployment.replicas if deployment else 0
    share = round(WHOLE * canary.scale / max(1, canary.scale + beside))
    if share == wanted:
        return ""
    pods = f"{canary.scale} of {canary.scale + beside} pods"
    kind = "smallest" if share > wanted else "nearest"
    return f"Its share is about {share}% ({pods}): the {kind} that pods can make of {wanted}%; spec.traffic splits exactly."


def _load(observed: Observed, decision: Decision) -> str:
    factor = traffic.load_factor(observed, decision.status)
    if factor > _UNEQUAL:
        return f"Each of its pods carries {factor:.1f} times what one of stable's does, so its latency does not count."
    if factor < 1 / _UNEQUAL:
        return f"Each of its pods carries {factor:.2f} times what one of stable's does, so it may seem faster than it is."
    return ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


# --- edits that were undone ---------------------------------------------------------------------------------


def correction_of_edit(model: Model, child: Child, manifest: Mapping[str, Any]) -> Announcement:
    """An object was written again as the model has it: a restart, another image, anything else."""
    who = f" by {child.edited_by}" if child.edited_by else ""
    return _correction(
        f"{child.kind} {child.name} was changed{who} and is as before: {_remedy(model, child, manifest)}"
    )


def correction_of_scale(model: Model, child: Deployment, replicas: int) -> Announcement:
    """A Deployment has the count again that the model asks for."""
    command = f"kubectl scale mwd {model.name} -n {model.namespace} --replicas={child.replicas}"
    return _correction(
        f"Deployment {child.name} was scaled to {child.replicas} by {child.scaled_by} and has {replicas} replicas again:"
        f" ModelDeployment {model.name} has the number of pods, {command}"
    )


def _remedy(model: Model, child: Child, manifest: Mapping[str, Any]) -> str:
    if isinstance(child, Deployment) and child.restarted_at:
        command = f"kubectl annotate mwd {model.name} -n {model.namespace} --overwrite modelward.dev/restart="
        return f"restart the model itself, {command}{child.restarted_at}"
    if isinstance(child, Deployment) and child.images != _images(manifest):
        return f"another image is a change of the model, kubectl edit mwd {model.name} -n {model.namespace}"
    return f"it follows its ModelDeployment, kubectl edit mwd {model.name} -n {model.namespace}"


def _images(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    containers = manifest["spec"]["template"]["spec"].get("containers") or ()
    return tuple(str(each.get("image", "")) for each in containers)


def _correction(message: str) -> Announcement:
    return Announcement(reason="DriftCorrected", message=f"{message}.", warning=True)
