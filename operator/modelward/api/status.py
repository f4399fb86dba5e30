"""The status of a ModelDeployment: the operator's only memory.

Every field may be absent, so that no status at all decodes to `ModelDeploymentStatus()`. Strings are ""
where there is nothing to say. Times are RFC 3339; those of steps and samples carry microseconds
(metav1.MicroTime). Counts and rates are strings, because CRDs have no portable floats.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from modelward.api.fetch_report import Identity
from modelward.api.fields import EXACT_INT_MAX, ApiStruct, Percent, atomic, list_map, schema_extra
from modelward.api.printable import printable

MESSAGE_LENGTH = 1024
"""Characters of a message that the API server takes; a longer one would have the whole status refused."""

ANALYSIS_STATE_LENGTH = 16_384
COMMAND_LENGTH = 256
"""Characters of a command's value that are kept and compared."""
HISTORY_LENGTH = 10
"""Entries of `history` and of `rejectedRevisions`."""

URI_LENGTH = 1024
"""Characters of a resolved address that status and history keep."""

MAX_STEPS = 20
MAX_METRICS = 16

RevisionName = Annotated[str, Meta(max_length=63, pattern="^[a-z0-9]*$")]
Time = Annotated[str, Meta(max_length=35), schema_extra({"format": "date-time"})]
Message = Annotated[str, Meta(max_length=MESSAGE_LENGTH)]
Reason = Annotated[str, Meta(max_length=128, pattern="^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?)?$")]
Count = Annotated[int, Meta(ge=0, le=EXACT_INT_MAX)]
Figure = Annotated[str, Meta(max_length=32)]
CommandValue = Annotated[str, Meta(max_length=COMMAND_LENGTH)]


def clip(text: str, length: int = MESSAGE_LENGTH) -> str:
    """`text`, printable, in at most `length` characters; an ellipsis shows the cut."""
    text = printable(text)
    return text if len(text) <= length else text[: length - 1] + "\N{HORIZONTAL ELLIPSIS}"


def number(figure: str) -> float | None:
    """A count, rate or odds of status; None for an empty one, and for what somebody else wrote in its place."""
    try:
        return float(figure)
    except ValueError:
        return None


class RolloutResult(StrEnum):
    """How a rollout ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"


class Condition(ApiStruct, frozen=True, kw_only=True):
    """A metav1.Condition."""

    type: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=63,
            pattern="^[A-Za-z][A-Za-z0-9]*$",
            description="What the condition is about, such as Ready.",
        ),
    ]
    status: Annotated[
        str,
        Meta(max_length=7, description="True, False or Unknown."),
        schema_extra({"enum": ["True", "False", "Unknown"]}),
    ]
    reason: Annotated[Reason, Meta(description="Why, in one CamelCase word.")] = ""
    message: Annotated[Message, Meta(description="Why, in one sentence.")] = ""
    last_transition_time: Annotated[Time, Meta(description="When status last changed.")]
    observed_generation: Annotated[
        Count, Meta(description="Generation of the spec that the condition speaks of.")
    ] = 0


class RejectedRevision(ApiStruct, frozen=True, kw_only=True):
    """A revision that was rolled back, and is not tried again without a retry."""

    revision: Annotated[RevisionName, Meta(description="The revision.")]
    content: Annotated[
        RevisionName, Meta(description="Hash of its content without the nonce: what is rejected.")
    ] = ""
    reason: Annotated[Reason, Meta(description="Why, in one CamelCase word.")] = ""
    message: Annotated[Message, Meta(description="Why, in one sentence.")] = ""
    time: Annotated[Time | None, Meta(description="When it was rejected.")] = None


class RolloutStatus(ApiStruct, frozen=True, kw_only=True):
    """The rollout that is under way, or the last one."""

    state: Annotated[
        str,
        Meta(max_length=63, pattern="^[A-Za-z]*$", description="Where the rollout stands, in one word."),
    ] = ""
    step: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_STEPS)], Meta(description="Number of the present step, from 0.")
    ] = 0
    weight_percent: Annotated[
        Percent, Meta(description="Share of the traffic that the canary should get.")
    ] = 0
    actual_weight_percent: Annotated[
        Percent | None, Meta(description="Share of the traffic that the canary gets. Absent: not known.")
    ] = None
    withdrawn_weight_percent: Annotated[
        Percent, Meta(description="Share that the canary had when it was last taken from it. 0: it had none.")
    ] = 0
    start_time: Annotated[Time | None, Meta(description="When the rollout began.")] = None
    step_start_time: Annotated[
        Time | None, Meta(description="When the present step began, with microseconds.")
    ] = None
    approvals: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=MAX_STEPS)], ...],
        Meta(max_length=MAX_STEPS + 1),
        schema_extra({"x-kubernetes-list-type": "set"}),
        Meta(
            description="Numbers of the steps that a person approved; the one after the last stands for all traffic."
        ),
    ] = ()
    shared_replicas: Annotated[
        Annotated[int, Meta(ge=0, le=2**31 - 1)] | None,
        Meta(description="Pods of both revisions together. Absent: capacity is not Shared."),
    ] = None
    kept_replicas: Annotated[
        Annotated[int, Meta(ge=0, le=2**31 - 1)] | None,
        Meta(
            description="Pods that a canary on its way back still keeps. Absent: it has given up none for stable."
        ),
    ] = None
    message: Annotated[Message, Meta(description="What the rollout does or waits for, in one sentence.")] = ""


class MetricStatus(ApiStruct, frozen=True, kw_only=True):
    """What was measured for one metric since the canary began."""

    name: Annotated[str, Meta(min_length=1, max_length=63, description="Name of the metric.")]
    canary_hits: Annotated[Figure, Meta(description="Cases that count, in the canary.")] = ""
    canary_total: Annotated[Figure, Meta(description="All cases in the canary.")] = ""
    canary_rate: Annotated[Figure, Meta(description="Rate or value in the canary.")] = ""
    stable_hits: Annotated[Figure, Meta(description="Cases that count, in stable.")] = ""
    stable_total: Annotated[Figure, Meta(description="All cases in stable.")] = ""
    stable_rate: Annotated[Figure, Meta(description="Rate or value in stable.")] = ""
    odds: Annotated[Figure, Meta(description="Odds against chance that the canary is worse.")] = ""
    message: Annotated[
        Annotated[str, Meta(max_length=256)], Meta(description="What is special about it, in one sentence.")
    ] = ""


class AnalysisStatus(ApiStruct, frozen=True, kw_only=True):
    """What the judge knows."""

    last_sample_time: Annotated[
        Time | None, Meta(description="When the last sample was taken, with microseconds.")
    ] = None
    message: Annotated[Message, Meta(description="The verdict so far, in one sentence.")] = ""
    odds: Annotated[
        Figure, Meta(description="Odds against chance over all metrics; 1/odds is a p-value.")
    ] = ""
    metrics: Annotated[
        tuple[MetricStatus, ...], list_map(["name"], MAX_METRICS), Meta(description="The metrics one by one.")
    ] = ()
    state: Annotated[
        Annotated[str, Meta(max_length=ANALYSIS_STATE_LENGTH)],
        Meta(description="The judge's memory: opaque, with a version of its own."),
    ] = ""


Digest = Annotated[str, Meta(max_length=71, pattern="^[a-z0-9:]*$")]
Address = Annotated[str, Meta(max_length=URI_LENGTH)]


class FetchedModel(ApiStruct, frozen=True, kw_only=True):
    """Which model the pods of a revision have, as the first of them reported it."""

    revision: Annotated[RevisionName, Meta(description="The revision.")]
    uri: Annotated[
        Address, Meta(description="Address with what moves pinned: a version, a commit, a digest.")
    ] = ""
    digest: Annotated[
        Digest, Meta(description="Digest of the files, by which pods are compared. Empty: not read (pvc).")
    ] = ""
    listing: Annotated[
        Digest, Meta(description="Digest of what the store listed: names, sizes and its own marks.")
    ] = ""
    identity: Annotated[
        Identity | None,
        Meta(description="What the store promises of the address: Pinned, Mutable or NotCovered."),
    ] = None
    files: Annotated[Count, Meta(description="Number of files.")] = 0
    bytes: Annotated[Count, Meta(description="Size of all files.")] = 0
    source_moved: Annotated[
        bool, Meta(description="The store lists something else by now, as a later pod has seen.")
    ] = False
    changed: Annotated[
        Message, Meta(description="Which pods have, or would have got, another model. Empty: none.")
    ] = ""


class HistoryEntry(ApiStruct, frozen=True, kw_only=True):
    """A rollout that ended."""

    revision: Annotated[RevisionName, Meta(description="The revision that went out.")]
    model_version: Annotated[
        Annotated[str, Meta(max_length=128)], Meta(description="spec.model.version of the revision.")
    ] = ""
    model_uri: Annotated[Address, Meta(description="Resolved address of the model that was fetched.")] = ""
    model_digest: Annotated[Digest, Meta(description="Digest of the model that was fetched.")] = ""
    changed_by: Annotated[
        Annotated[str, Meta(max_length=128)],
        Meta(description="Which tool made the change: a field manager, not always a person."),
    ] = ""
    result: Annotated[RolloutResult, Meta(description="How it ended.")]
    start_time: Annotated[Time | None, Meta(description="When it began.")] = None
    end_time: Annotated[Time | None, Meta(description="When it ended.")] = None
    message: Annotated[Message, Meta(description="Why it ended so, in one sentence.")] = ""


class CommandsStatus(ApiStruct, frozen=True, kw_only=True):
    """The last value of each command annotation that the operator has dealt with."""

    promote: Annotated[CommandValue, Meta(description="Last value of modelward.dev/promote.")] = ""
    approve: Annotated[CommandValue, Meta(description="Last value of modelward.dev/approve.")] = ""
    abort: Annotated[CommandValue, Meta(description="Last value of modelward.dev/abort.")] = ""
    retry: Annotated[CommandValue, Meta(description="Last value of modelward.dev/retry.")] = ""
    restart: Annotated[CommandValue, Meta(description="Last value of modelward.dev/restart.")] = ""
    refresh: Annotated[CommandValue, Meta(description="Last value of modelward.dev/refresh.")] = ""
    rollback: Annotated[CommandValue, Meta(description="Last value of modelward.dev/rollback.")] = ""
    adopt: Annotated[CommandValue, Meta(description="Last value of modelward.dev/adopt.")] = ""


ReplicaCount = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class ScalingStatus(ApiStruct, frozen=True, kw_only=True):
    """What must be remembered to hand the number of pods over between user and autoscaler."""

    ignored_replicas: Annotated[
        ReplicaCount | None,
        Meta(description="spec.replicas as it was while the autoscaler ignored it. Absent: no autoscaler."),
    ] = None
    held_replicas: Annotated[
        ReplicaCount | None,
        Meta(
            description="Number of pods kept after autoscaling was switched off, until spec.replicas changes."
            " Absent: none."
        ),
    ] = None


class ModelDeploymentStatus(ApiStruct, frozen=True, kw_only=True):
    """What the operator saw, decided and remembers. At most 32 KiB in all."""

    observed_generation: Annotated[Count, Meta(description="Generation of the spec that was acted upon.")] = 0
    conditions: Annotated[
        tuple[Condition, ...],
        list_map(["type"], 16),
        Meta(description="Ready, Available, Progressing, Reconciling, Stalled, RolloutSucceeded and others."),
    ] = ()
    replicas: Annotated[ReplicaCount, Meta(description="Number of pods, of all live revisions.")] = 0
    ready_replicas: Annotated[
        ReplicaCount, Meta(description="Number of ready pods, of all live revisions.")
    ] = 0
    selector: Annotated[
        Annotated[str, Meta(max_length=1024)], Meta(description="Label selector of the pods, for /scale.")
    ] = ""
    url: Annotated[
        Annotated[str, Meta(max_length=2048)], Meta(description="Address under which the model is reached.")
    ] = ""
    model_uri: Annotated[
        Address,
        Meta(description="Resolved address of the model that stable serves. Empty: its image carries it."),
    ] = ""
    stable_revision: Annotated[RevisionName, Meta(description="The revision that serves.")] = ""
    canary_revision: Annotated[RevisionName, Meta(description="The revision that is tried. Empty: none.")] = (
        ""
    )
    previous_revision: Annotated[
        RevisionName, Meta(description="The revision before stable, while it is kept warm. Empty: none.")
    ] = ""
    fetched: Annotated[
        tuple[FetchedModel, ...],
        list_map(["revision"], 3),
        Meta(description="Models of the live revisions, as their first pods fetched them."),
    ] = ()
    rejected_revisions: Annotated[
        tuple[RejectedRevision, ...],
        list_map(["revision"], HISTORY_LENGTH),
        Meta(description="Revisions that were rolled back, newest first."),
    ] = ()
    decision: Annotated[
        Count, Meta(description="Number of the last decision; children carry it, and it only rises.")
    ] = 0
    revision_nonce: Annotated[
        Count, Meta(description="Raised by restart, refresh and retry; part of a revision's hash.")
    ] = 0
    rollout: Annotated[RolloutStatus | None, Meta(description="The rollout under way, or the last one.")] = (
        None
    )
    analysis: Annotated[AnalysisStatus | None, Meta(description="What the judge knows.")] = None
    history: Annotated[
        tuple[HistoryEntry, ...],
        atomic(HISTORY_LENGTH),
        Meta(description="Rollouts that ended, newest first."),
    ] = ()
    commands: Annotated[
        CommandsStatus, Meta(description="Commands that were dealt with, by their last value.")
    ] = CommandsStatus()
    scaling: Annotated[
        ScalingStatus | None, Meta(description="What the hand-over between user and autoscaler needs.")
    ] = None
