"""Types and reasons of the conditions in status: closed sets that clients may rely on.

Source: Kubernetes API conventions, "Typical status properties"; kstatus
(https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md) for Reconciling and Stalled.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ConditionType(StrEnum):
    """What a condition speaks about."""

    READY = "Ready"
    """The revision that spec asks for serves, in the size asked for."""
    AVAILABLE = "Available"
    """Some revision serves: at least one pod that gets traffic is ready (or none is wanted: `replicas: 0`)."""
    PROGRESSING = "Progressing"
    """A change is on its way."""
    RECONCILING = "Reconciling"
    """kstatus: the operator is not done yet. Absent when it is."""
    STALLED = "Stalled"
    """kstatus: nothing goes on until somebody acts. Absent when all is well."""
    ROLLOUT_SUCCEEDED = "RolloutSucceeded"
    """Whether what spec asks for has gone out and serves, for `kubectl wait` in pipelines; Unknown while it is on its way."""
    RUNTIME_OUTDATED = "RuntimeOutdated"
    """The runtime has changed since this revision was made. Absent when it has not."""
    MODEL_CHANGED = "ModelChanged"
    """A pod of a live revision got, or would have got, another model than the first one. Absent when none did."""
    SOURCE_MUTABLE = "SourceMutable"
    """The store cannot promise that later pods get the same model. Absent where it can, and where none is fetched."""
    SOURCE_MOVED = "SourceMoved"
    """The store lists something else under the model's address than when the revision began. Absent otherwise."""


class Status(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition has its status; the reason of `Ready` is the STATUS column of `kubectl get`."""

    AVAILABLE = "Available"
    """The revision that spec asks for serves in full."""
    SCALED_TO_ZERO = "ScaledToZero"
    """`replicas: 0` is what spec asks for."""
    DEPLOYING = "Deploying"
    """A revision is being started; if another serves meanwhile, it goes on serving."""
    CANARY_STEP = "CanaryStep"
    """A canary has a share of the traffic, and is judged."""
    APPROVAL_REQUIRED = "ApprovalRequired"
    """A canary waits until a person approves its next step; the message has the command."""
    PAUSED = "Paused"
    """A canary waits, because `spec.rollout.paused` is true."""
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    """A canary waits, because its metrics cannot be had: unknown is not success."""
    INCONCLUSIVE = "Inconclusive"
    """A canary waits, because there is not enough evidence for or against it."""
    QUEUED = "Queued"
    """A change waits for its turn: the operator's limit of rollouts is reached."""
    REPLICAS_NOT_READY = "ReplicasNotReady"
    """The right revision serves, but not (yet) with all its pods."""
    UNAVAILABLE = "Unavailable"
    """No pod of the serving revision has been ready for a minute."""
    ROLLED_BACK = "RolledBack"
    """The revision that spec asks for was rejected; the one before it serves."""
    ROLLED_BACK_BY_USER = "RolledBackByUser"
    """A person went back to an earlier revision; shown as RolledBack, until spec changes."""
    ABORTED = "Aborted"
    """The revision that spec asks for was taken back by a person."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The pods of the new revision did not get ready in time."""
    CRASH_LOOPING = "CrashLooping"
    """A pod of the new revision ends again and again."""
    OUT_OF_MEMORY = "OutOfMemory"
    """A pod of the new revision was killed for its use of memory."""
    OUT_OF_STORAGE = "OutOfStorage"
    """A pod of the new revision was evicted for using more disk than its limit."""
    RESTARTING = "Restarting"
    """Pods of the new revision were restarted, and those of the one beside it were not."""
    NOT_READY = "NotReady"
    """Pods of the new revision were ready, and are not any more."""
    PREEMPTS_STABLE = "PreemptsStable"
    """Pods of the new revision may preempt those of stable, or did: a person must approve it, or it was taken back."""
    INVALID_SPEC = "InvalidSpec"
    """Spec cannot be carried out; the message names the field."""
    NAME_CONFLICT = "NameConflict"
    """An object with a name that we need belongs to somebody else."""
    REFUSED = "Refused"
    """An object that is needed is not written: quota, an admission policy, a missing right; or failures that last."""
    ROUTE_NOT_READY = "RouteNotReady"
    """The route of `spec.traffic` cannot split traffic; the message says why."""
    NO_RUNTIME = "NoRuntime"
    """No runtime fits the model."""
    PROMOTED = "Promoted"
    """The latest rollout went through."""
    SUPERSEDED = "Superseded"
    """A newer change took the place of the latest rollout."""
    FETCH_NOT_CONFIGURED = "FetchNotConfigured"
    """The operator's settings name no image that fetches models."""
    INVALID_URI = "InvalidUri"
    """The model cannot be fetched: its address has not the form of its scheme."""
    NOT_FOUND = "NotFound"
    """The model cannot be fetched: there is nothing at its address."""
    DENIED = "Denied"
    """The model cannot be fetched: the store does not accept the credentials, or there are none."""
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    """The model cannot be fetched: its bytes are not those that a checksum names."""
    MODEL_CHANGED = "ModelChanged"
    """The model cannot be fetched: its bytes are not those that the first pod of the revision got."""
    NO_SPACE = "NoSpace"
    """The model cannot be fetched: the node or a quota has no room for it."""
    TOO_LARGE = "TooLarge"
    """The model cannot be fetched: it has more bytes or files than the settings allow."""
    TIMEOUT = "Timeout"
    """The model cannot be fetched: bytes came, but not all of them in time."""
    UNREACHABLE = "Unreachable"
    """The model cannot be fetched: the store does not answer."""
    UNSAFE_ARCHIVE = "UnsafeArchive"
    """The model cannot be fetched: the archive holds what must not be unpacked."""
    FORMAT_UNKNOWN = "FormatUnknown"
    """The model cannot be fetched: it is empty, or an archive or image that is not what it says."""
    UNSAFE_NAME = "UnsafeName"
    """The model cannot be fetched: a name in the store cannot be a file of the model."""
    ADDRESS_REFUSED = "AddressRefused"
    """The model cannot be fetched: its address leads where nobody is asked, such as a metadata service."""
    TARGET_IN_USE = "TargetInUse"
    """The model cannot be fetched: its folder holds files that no fetch brought."""
    SOURCE_MUTABLE = "SourceMutable"
    """What is at the model's address can be overwritten, and then later pods cannot get what earlier ones have."""
    SOURCE_MOVED = "SourceMoved"
    """Something else is at the model's address than when the revision began."""
    RUNTIME_CHANGED = "RuntimeChanged"
    """The runtime's spec differs from the one that this revision pinned."""


_RENAMED: Final = {"Returned": Reason.ROLLED_BACK_BY_USER}
"""Reasons that earlier versions wrote, and what they are called now."""


def reason_of(text: str) -> Reason | None:
    """The reason that status or a snapshot names, also as an earlier version wrote it; None for one of a later version."""
    return _RENAMED.get(text) or next((each for each in Reason if each == text), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A refusal: nothing goes on until somebody changes something. A value, shown as a condition, never raised."""

    reason: Reason
    message: str
