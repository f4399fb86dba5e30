"""The way of a canary, phase by phase: from its first pod to the switch of roles, or back.

Each reconcile begins with what may end it, in whatever phase it is: unhealthy pods, evidence that it is worse, a
deadline. Only then is asked whether it may go one step further. Unknown is never success.
"""

from datetime import timedelta

from modelward.analysis.verdict import Verdict
from modelward.api.conditions import Reason
from modelward.api.rollout_policy import WHOLE, OnDeadline, OnInconclusive, OnMetricsUnavailable, Strategy
from modelward.api.status import RolloutResult
from modelward.api.times import format_micro, parse
from modelward.rollout import capacity, health, model_identity, readiness, room, traffic
from modelward.rollout.decision import Progress
from modelward.rollout.holding import is_held, nothing_to_protect
from modelward.rollout.judging import Judgement, arms_of, judged, next_step_judged
from modelward.rollout.observed import Observed
from modelward.rollout.phases import TRANSITIONS, WAITING, WITH_CANARY, Phase, Trigger
from modelward.rollout.rollback import left, switched_back, taken_back
from modelward.traffic_shares import Router, router


def followed(observed: Observed, progress: Progress) -> Progress:
    """One step further on the way of the rollout, if there is one; else the same."""
    match progress.phase:
        case phase if phase in WITH_CANARY:
            return _canary(observed, progress)
        case Phase.DEPLOYING if readiness.is_ready(
            observed, progress.status, progress.status.stable_revision
        ):
            return _deployed(observed, progress)
        case Phase.WATCHING:
            return _watched(observed, progress)
        case Phase.ROLLING_BACK:
            return left(observed, progress)
        case _:
            return drained(observed, progress)


def drained(observed: Observed, progress: Progress) -> Progress:
    """The previous revision's time runs whatever keeps the rest: a refused spec does not hold its pods."""
    if progress.phase is not Phase.DRAINING or drains(observed, progress):
        return progress
    return progress.going(Trigger.DRAINED).having(previous_revision="")


def drains(observed: Observed, progress: Progress) -> bool:
    """Whether requests may still come to the previous revision, which has just lost its traffic."""
    if traffic.is_selected(observed, progress.status.previous_revision):
        return True
    return seconds_left(observed, progress, traffic.drain_seconds(observed)) > 0


def promoted_by_hand(observed: Observed, progress: Progress) -> Progress:
    """A person wants all traffic on the canary now. It still needs its pods, and is still watched.

    That is noted as an approval of what follows the last step: nothing but illness keeps it from that any more.
    """
    last = observed.asked.steps.promotion_step
    approvals = tuple(sorted({*progress.rollout.approvals, last}))
    message = f"Revision {progress.status.canary_revision} is promoted by annotation."
    promoted = progress.going(Trigger.PROMOTED, step=last, approvals=approvals)
    return promoted.announcing("StepAdvanced", message)


def seconds_left(observed: Observed, progress: Progress, of: float) -> float:
    """Seconds of `of` that are left since the present step began; a clock set back does not make it more."""
    if not progress.rollout.step_start_time:
        return 0.0
    gone = observed.now - parse(progress.rollout.step_start_time)
    return max(0.0, min(of, (timedelta(seconds=of) - gone).total_seconds()))


# --- what may end it ----------------------------------------------------------------------------------------


def guarded(observed: Observed, progress: Progress) -> Progress:
    """Where nothing may go on: no step further, but whatever ends a rollout still does."""
    if progress.phase in WITH_CANARY:
        return _ended(observed, progress)[0]
    return followed(observed, progress)


def _canary(observed: Observed, progress: Progress) -> Progress:
    progress, judgement = _ended(observed, progress)
    return _further(observed, progress, judgement) if progress.phase in WITH_CANARY else progress


def _ended(observed: Observed, progress: Progress) -> tuple[Progress, Judgement]:
    """The progress without the canary, if its pods, the evidence or its deadline say so; and what the judge says."""
    status = progress.status
    canary = status.canary_revision
    if lacking := model_identity.failure(observed, status, canary):
        message = f"Revision {canary} was rolled back: {lacking.message}."
        return taken_back(observed, progress, Trigger.UNHEALTHY, lacking.reason, message), Judgement()
    if unhealthy := health.problem(observed, status):
        message = f"Revision {canary} was rolled back: {unhealthy.message}."
        return taken_back(observed, progress, Trigger.UNHEALTHY, unhealthy.reason, message), Judgement()
    if lost := room.preempted(observed, status):
        message = f"Revision {canary} was rolled back: {lost}."
        return taken_back(observed, progress, Trigger.PREEMPTS, Reason.PREEMPTS_STABLE, message), Judgement()
    progress, judgement = judged(observed, progress)
    if judgement.verdict is Verdict.ROLL_BACK:
        worse = Trigger.WORSE
        return taken_back(observed, progress, worse, Reason.ROLLED_BACK, judgement.message), judgement
    overdue = readiness.overdue(observed, canary)
    if overdue and observed.model.spec.rollout.on_deadline is OnDeadline.ROLL_BACK:
        message = f"Revision {canary} was rejected: {overdue}."
        return taken_back(observed, progress, Trigger.DEADLINE, Reason.DEADLINE_EXCEEDED, message), judgement
    return progress, judgement


def _further(observed: Observed, progress: Progress, judgement: Judgement) -> Progress:
    """What the phase allows next."""
    if _pods_lost(observed, progress):
        return progress.weightless().going(Trigger.PODS_LOST)
    match progress.phase:
        case Phase.SCALING_UP:
            return _warmed(observed, progress)
        case Phase.PROMOTING:
            return _promoted(observed, progress)
        case phase if phase is Phase.ANALYZING or phase in WAITING:
            return _judged_at_step(observed, progress, judgement)
        case _:
            return progress


def _pods_lost(observed: Observed, progress: Progress) -> bool:
    """The canary has weight and no ready pod: it gets none until it has one again."""
    if (progress.phase, Trigger.PODS_LOST) not in TRANSITIONS or not progress.rollout.weight_percent:
        return False
    status = progress.status
    return readiness.serves(observed, status.stable_revision) and not readiness.serves(
        observed, status.canary_revision
    )


# --- pods for a step ----------------------------------------------------------------------------------------


def _warmed(observed: Observed, progress: Progress) -> Progress:
    """Once its pods are there the canary gets the weight of its step, or what a person must say is awaited."""
    policy = observed.model.spec.rollout
    has_pods = readiness.has_size_of_step(observed, progress.status) or _takes_over(observed, progress)
    if not (has_pods or _has_first_pod(observed, progress)):
        return _shifted(observed, progress)
    if policy.paused:
        return _paused(progress)
    return progress if is_held(observed, progress.status) else _sized(observed, progress)


def _sized(observed: Observed, progress: Progress) -> Progress:
    """Its pods are there, and nothing holds it: what the plan has next."""
    planned, rollout = observed.asked.steps, progress.rollout
    last = planned.promotion_step
    if rollout.step >= last or nothing_to_protect(observed, progress.status):
        return progress.going(Trigger.LAST_STEP_PASSED, step=last)
    if planned.awaits_approval(rollout.step, rollout.approvals):
        return _approval_awaited(observed, progress, rollout.step)
    if not readiness.has_size_of_step(observed, progress.status):
        return _shifted(observed, progress)
    return progress if readiness.bystander(observed, progress.status) else _step_begun(observed, progress)


def _has_first_pod(observed: Observed, progress: Progress) -> bool:
    """With shared capacity: the one pod that the canary has before it has any traffic, which brings the others."""
    if progress.rollout.weight_percent or not capacity.shared_replicas(observed, progress.status):
        return False
    return readiness.is_ready(observed, progress.status, progress.status.canary_revision)


def _step_begun(observed: Observed, progress: Progress) -> Progress:
    planned, rollout = observed.asked.steps, progress.rollout
    weight = planned.weight_of(rollout.step)
    first = rollout.step == 0
    step = planned.name_of(rollout.step)
    canary = progress.status.canary_revision
    why = progress.status.analysis.message if progress.status.analysis else ""
    reported = (
        ("CanaryStarted", f"Canary {canary} begins with {step}.")
        if first
        else ("StepAdvanced", f"Canary {canary} goes on to {step}. {why}".rstrip())
    )
    return next_step_judged(
        progress.going(Trigger.STEP_BEGINS, weight_percent=weight, step_start_time=None).announcing(*reported)
    )


def _shifted(observed: Observed, progress: Progress) -> Progress:
    """With shared capacity weight moves with the pods, one by one: to the pod that the canary gets next."""
    status = progress.status
    total = capacity.shared_replicas(observed, status)
    if not total or not readiness.serves(observed, status.canary_revision) or is_held(observed, status):
        return progress
    if not progress.rollout.weight_percent and readiness.bystander(observed, status):
        return progress
    share = WHOLE * capacity.shared_target(observed, status, total) // total
    wanted = min(share, observed.asked.steps.weight_of(progress.rollout.step))
    if wanted <= progress.rollout.weight_percent:
        return progress
    return progress.rolling(weight_percent=wanted)


def _takes_over(observed: Observed, progress: Progress) -> bool:
    """The canary has a ready pod and stable none, so that requests fail for a minute, or would without it.

    It does not wait for its full size then: few pods are better than none.
    """
    stable = observed.deployment(progress.status.stable_revision)
    if stable is None or stable.ready or not readiness.serves(observed, progress.status.canary_revision):
        return False
    has_all = progress.rollout.weight_percent == WHOLE and stable.replicas > 0
    return has_all or readiness.is_unavailable(observed)


# --- at a step ----------------------------------------------------------------------------------------------


def _judged_at_step(observed: Observed, progress: Progress, judgement: Judgement) -> Progress:
    progress = _resumed(observed, _clocked(observed, progress))
    if observed.model.spec.rollout.paused:
        return _paused(progress)
    if _takes_over(observed, progress):
        return progress.going(Trigger.LAST_STEP_PASSED, step=observed.asked.steps.promotion_step)
    if progress.phase is Phase.AWAITING_APPROVAL:
        return _approved(observed, progress)
    waits = progress.phase is Phase.SCALING_UP or not progress.rollout.step_start_time
    if waits or is_held(observed, progress.status):
        return progress
    return _by_verdict(observed, progress, judgement)


def _by_verdict(observed: Observed, progress: Progress, judgement: Judgement) -> Progress:
    if judgement.problem:
        return _without_metrics(observed, progress, judgement)
    if progress.phase is Phase.METRICS_UNAVAILABLE:
        return _with_metrics(observed, progress)  # the verdict is about a step that begins anew
    match judgement.verdict:
        case Verdict.ADVANCE:
            return _passed(observed, _conclusive(progress))
        case Verdict.INCONCLUSIVE:
            return _inconclusive(observed, progress, judgement)
        case Verdict.HOLD if _is_overdue(observed, progress):
            return _undecided(progress, judgement)
        case _:
            return _conclusive(progress)


def _is_overdue(observed: Observed, progress: Progress) -> bool:
    """Whether the longest time of the step is over."""
    return seconds_left(observed, progress, observed.model.spec.rollout.step_max_seconds) <= 0


def _with_metrics(observed: Observed, progress: Progress) -> Progress:
    """Metrics can be had again: nothing was known for a while, so the step asks for a fresh full window."""
    message = f"Metrics of canary {progress.status.canary_revision} can be had again; the step begins anew."
    progress = progress.going(Trigger.METRICS_BACK, step_start_time=format_micro(observed.now))
    return next_step_judged(progress).announcing("MetricsBack", message)


def _clocked(observed: Observed, progress: Progress) -> Progress:
    """The step's clock starts when the traffic is split as decided, and the pods are ready.

    Where the canary's own counters show since when it is, that is the start.
    """
    if progress.rollout.step_start_time or not progress.rollout.weight_percent:
        return progress
    if not traffic.in_effect(observed, progress.status).done:
        return progress
    if not readiness.serves(observed, progress.status.canary_revision):
        return progress
    seen = (
        traffic.arrived(observed, progress.rollout)
        if router(observed.model.spec) is not Router.NONE
        else None
    )
    return progress.rolling(step_start_time=format_micro(min(seen or observed.now, observed.now)))


def _passed(observed: Observed, progress: Progress) -> Progress:
    planned, rollout = observed.asked.steps, progress.rollout
    above = planned.step_above(rollout.weight_percent)
    if above == planned.promotion_step:
        return progress.going(Trigger.LAST_STEP_PASSED, step=above)
    if planned.awaits_approval(above, rollout.approvals):
        return _approval_awaited(observed, progress, above)
    return progress.going(Trigger.STEP_PASSED, step=above)


def _conclusive(progress: Progress) -> Progress:
    return progress.going(Trigger.CONCLUSIVE) if progress.phase is Phase.INCONCLUSIVE else progress


def _inconclusive(observed: Observed, progress: Progress, judgement: Judgement) -> Progress:
    """The longest time of the step is over without enough evidence."""
    canary = progress.status.canary_revision
    if judgement.may_advance:
        progress = progress.announcing("Inconclusive", judgement.message)
        return _passed(observed, _conclusive(progress))
    match observed.model.spec.rollout.on_inconclusive:
        case OnInconclusive.PROMOTE:
            return _passed(observed, _conclusive(progress))
        case OnInconclusive.ROLL_BACK:
            message = (
                f"Revision {canary} was rolled back, as spec.rollout.onInconclusive asks. {judgement.message}"
            )
            return taken_back(observed, progress, Trigger.UNKNOWN, Reason.ROLLED_BACK, message)
        case _:
            return _undecided(progress, judgement)


def _undecided(progress: Progress, judgement: Judgement) -> Progress:
    """The canary waits for more evidence, or for a person."""
    if progress.phase is Phase.INCONCLUSIVE:
        return progress
    return progress.going(Trigger.INCONCLUSIVE).announcing("Inconclusive", judgement.message, warning=True)


def _without_metrics(observed: Observed, progress: Progress, judgement: Judgement) -> Progress:
    """Nothing is known: the canary waits, or goes back."""
    canary = progress.status.canary_revision
    if observed.model.spec.rollout.on_metrics_unavailable is OnMetricsUnavailable.ROLL_BACK:
        message = f"Revision {canary} was rolled back, as spec.rollout.onMetricsUnavailable asks: {judgement.problem}."
        return taken_back(observed, progress, Trigger.UNKNOWN, Reason.METRICS_UNAVAILABLE, message)
    if progress.phase is Phase.METRICS_UNAVAILABLE:
        return progress
    message = f"Metrics of canary {canary} cannot be had: {judgement.problem}."
    return progress.going(Trigger.METRICS_LOST).announcing("MetricsUnavailable", message, warning=True)


# --- what people say ----------------------------------------------------------------------------------------


def _paused(progress: Progress) -> Progress:
    if progress.phase is Phase.PAUSED:
        return progress
    message = f"Canary {progress.status.canary_revision} is paused by spec.rollout.paused."
    return progress.going(Trigger.PAUSED).announcing("Paused", message)


def _resumed(observed: Observed, progress: Progress) -> Progress:
    """Go on after a pause: with the step that was under way, or with the one that had not begun."""
    rollout = progress.rollout
    if progress.phase is not Phase.PAUSED or observed.model.spec.rollout.paused:
        return progress
    begun = rollout.weight_percent >= observed.asked.steps.weight_of(rollout.step)
    return progress.going(Trigger.RESUMED if begun else Trigger.STEP_AHEAD)


def _approval_awaited(observed: Observed, progress: Progress, step: int) -> Progress:
    model, canary = observed.model, progress.status.canary_revision
    message = (
        f"Canary {canary} waits for approval of {observed.asked.steps.name_of(step)}: kubectl annotate mwd"
        f" {model.name} -n {model.namespace} --overwrite modelward.dev/approve={canary}/{step}"
    )
    return progress.going(Trigger.APPROVAL_NEEDED).announcing("ApprovalRequired", message)


def _approved(observed: Observed, progress: Progress) -> Progress:
    planned, rollout = observed.asked.steps, progress.rollout
    above = planned.step_above(rollout.weight_percent)
    if planned.awaits_approval(above, rollout.approvals):
        return progress
    return progress.going(Trigger.APPROVED, step=above)


# --- the whole traffic --------------------------------------------------------------------------------------


def _promoted(observed: Observed, progress: Progress) -> Progress:
    """At full size the canary gets all traffic, and when it has it, the roles switch."""
    if not (readiness.has_size_of_step(observed, progress.status) or _takes_over(observed, progress)):
        return _shifted(observed, progress)
    if is_held(observed, progress.status):
        return progress
    if router(observed.model.spec) is Router.NONE:
        return _switched(observed, progress)
    if progress.rollout.weight_percent < WHOLE:
        return progress.rolling(weight_percent=WHOLE)
    if not traffic.in_effect(observed, progress.status).done:
        return progress
    return _switched(observed, progress)


def _switched(observed: Observed, progress: Progress) -> Progress:
    """The roles switch: the canary's running pods are the stable ones from now on."""
    status, now = progress.status, format_micro(observed.now)
    message = f"Revision {status.canary_revision} is ready and serves in place of {status.stable_revision}."
    if not readiness.has_size_of_step(observed, status):
        message = f"Revision {status.canary_revision} serves in place of {status.stable_revision}, which has no ready pod."
    progress = progress.recording(observed.now, RolloutResult.PROMOTED, message).announcing(
        "Promoted", message
    )
    kept = _keeps_previous(observed, progress)
    progress = progress.going(
        Trigger.SWITCHED if kept else Trigger.SWITCHED_FOR_GOOD,
        weight_percent=WHOLE,
        step_start_time=now,
        shared_replicas=None,
    )
    return progress.having(
        stable_revision=status.canary_revision, canary_revision="", previous_revision=status.stable_revision
    )


def _keeps_previous(observed: Observed, progress: Progress) -> bool:
    """Whether the previous revision can and shall be kept warm."""
    policy, previous = observed.model.spec.rollout, progress.status.stable_revision
    wanted = policy.keep_previous_seconds > 0 and policy.strategy is not Strategy.DIRECT
    return wanted and progress.rollout.shared_replicas is None and readiness.serves(observed, previous)


def _watched(observed: Observed, progress: Progress) -> Progress:
    """After the promotion: the previous revision is one switch away until its time is over."""
    status = progress.status
    stable, previous = status.stable_revision, status.previous_revision
    if readiness.serves(observed, previous):
        if unhealthy := health.problem(observed, status):
            message = f"Revision {stable} was rolled back after its promotion: {unhealthy.message}."
            return switched_back(observed, progress, Trigger.UNHEALTHY, unhealthy.reason, message)
        judgement = Judgement()
        if arms_of(observed.model):
            progress, judgement = judged(observed, progress)
        if judgement.verdict is Verdict.ROLL_BACK:
            return switched_back(observed, progress, Trigger.WORSE, Reason.ROLLED_BACK, judgement.message)
    keep = observed.model.spec.rollout.keep_previous_seconds
    needed = room.in_the_way(observed, status)
    if drains(observed, progress) or (seconds_left(observed, progress, keep) > 0 and not needed):
        return progress
    if needed:
        why = f"{stable} waits for what its pods hold ({', '.join(sorted(needed))})"
        progress = progress.announcing(
            "PreviousEnded", f"Revision {previous} is not kept warm any longer: {why}."
        )
    return progress.going(Trigger.KEPT).having(previous_revision="", analysis=None)


def _deployed(observed: Observed, progress: Progress) -> Progress:
    message = f"Revision {progress.status.stable_revision} is ready and serves."
    progress = progress.recording(observed.now, RolloutResult.PROMOTED, message)
    return progress.going(Trigger.READY).announcing("Promoted", message)
