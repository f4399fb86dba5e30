"""Which model the pods of a revision have: what the first of them fetched is the revision's, and every other is compared.

Each pod reports what it fetched. The first report is recorded in status and on the snapshot, pinned for the pods that
start later, and never replaced: a moving name is resolved once for each revision. A pod with other bytes is reported as
ModelChanged; of a canary that is a reason to roll back, from stable no running pod is taken away.
While the pods still fetch it, `fetching` says how far they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from modelward.api.conditions import ConditionType, Reason
from modelward.api.fetch_report import FetchReason, FetchReport, Identity
from modelward.api.status import URI_LENGTH, FetchedModel, ModelDeploymentStatus, clip
from modelward.rollout.decision import Progress
from modelward.rollout.observed import Observed, Pod
from modelward.rollout.phases import Phase
from modelward.runtimes.fetching import has_fetch_container, pin_name

_MOST_NAMED = 3
"""Pods that a sentence names."""
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFailure:
    """Why a revision has not its model."""

    reason: Reason
    message: str
    """A phrase without its full stop, with the remedy."""


# --- what is recorded ---------------------------------------------------------------------------------------


def learned(observed: Observed, progress: Progress) -> Progress:
    """With the models of the live revisions, as far as their pods have reported; what is new is announced."""
    before = {entry.revision: entry for entry in progress.status.fetched}
    found = tuple(
        entry
        for name in _live(progress.status)
        if (entry := _entry(observed, progress, before.get(name), name))
    )
    for entry in found:
        progress = _announced(progress, before.get(entry.revision), entry)
    return progress.having(fetched=found)


def model_of(status: ModelDeploymentStatus, revision: str) -> FetchedModel | None:
    """What is recorded of a revision's model."""
    return next((entry for entry in status.fetched if entry.revision == revision), None)


def _live(status: ModelDeploymentStatus) -> Iterator[str]:
    roles = (status.stable_revision, status.canary_revision, status.previous_revision)
    return (name for name in roles if name)


def _entry(
    observed: Observed, progress: Progress, before: FetchedModel | None, revision: str
) -> FetchedModel | None:
    snapshot = progress.revisions.get(revision)
    if snapshot and not has_fetch_container(snapshot.template):
        return None
    known = before or (snapshot.fetched if snapshot else None)
    pods = _pods_of(observed, revision)
    if known is None:
        known = _first([pod for pod in pods if not _follows_a_planted_pin(pod, progress, revision)])
    if known is None:
        return None
    moved = any(_has_moved(pod.fetched, known) for pod in pods if pod.fetched)
    return msgspec.structs.replace(
        known, revision=revision, source_moved=moved, changed=clip(_changed(pods, known))
    )


def _pods_of(observed: Observed, revision: str) -> list[Pod]:
    """In the order in which they were made: all decisions about them come out the same."""
    pods = [pod for pod in observed.fetched_pods if pod.revision == revision]
    return sorted(pods, key=lambda pod: (pod.created.timestamp() if pod.created else 0.0, pod.name))


def _follows_a_planted_pin(pod: Pod, progress: Progress, revision: str) -> bool:
    """Whether a pod followed a pin though none can be ours yet: of a revision that has just set out nothing is known.

    What serves already has had its pin; if all memory of it is lost its pods are believed.
    """
    sets_out = revision == progress.status.canary_revision or progress.phase is Phase.DEPLOYING
    return sets_out and pod.fetched is not None and pod.fetched.succeeded and pod.fetched.pinned


def _first(pods: list[Pod]) -> FetchedModel | None:
    """What the first pod fetched."""
    report = next((pod.fetched for pod in pods if pod.fetched and pod.fetched.succeeded), None)
    if report is None:
        return None
    whole = len(report.resolved) <= URI_LENGTH
    return FetchedModel(
        revision="",
        uri=clip(report.resolved, URI_LENGTH),
        digest=report.digest,
        listing=report.listing,
        identity=report.identity if whole or report.identity is Identity.NOT_COVERED else Identity.MUTABLE,
        files=report.files,
        bytes=report.bytes,
    )


def _has_moved(report: FetchReport, known: FetchedModel) -> bool:
    """Whether the store lists something else than it did for the first pod."""
    if report.source_moved or report.reason is FetchReason.MODEL_CHANGED:
        return True
    return report.succeeded and bool(known.listing and report.listing) and report.listing != known.listing


def _is_other(report: FetchReport, known: FetchedModel) -> bool:
    """Whether a pod has, or would have got, other bytes."""
    if report.reason is FetchReason.MODEL_CHANGED:
        return True
    return report.succeeded and bool(known.digest and report.digest) and report.digest != known.digest


def _changed(pods: list[Pod], known: FetchedModel) -> str:
    """Which pods have another model, in words; empty if none has."""
    others = [pod for pod in pods if pod.fetched and _is_other(pod.fetched, known)]
    if not others:
        return ""
    reported = "; ".join(_difference(pod) for pod in others[:_MOST_NAMED])
    more = f" (and {len(others) - _MOST_NAMED} more)" if len(others) > _MOST_NAMED else ""
    return f"{reported}{more}; the revision's model is {_short(known.digest)}"


def _difference(pod: Pod) -> str:
    report = pod.fetched
    if report is None or report.reason:
        return f"pod {pod.name} cannot get the model any more"
    return f"pod {pod.name} has {_short(report.digest)}"


def _short(digest: str) -> str:
    """Enough of a digest to distinguish it from another one."""
    return digest[: len("sha256:") + 12] or "not known"


def _announced(progress: Progress, before: FetchedModel | None, entry: FetchedModel) -> Progress:
    if before is None:
        progress = progress.announcing("ModelFetched", f"Revision {entry.revision} runs {described(entry)}.")
    if entry.source_moved and not (before and before.source_moved):
        progress = progress.announcing("SourceMoved", _moved(entry), warning=True)
    if entry.changed and not (before and before.changed):
        progress = progress.announcing(
            "ModelChanged", f"Revision {entry.revision}: {entry.changed}.", warning=True
        )
    return progress


# --- what it means ------------------------------------------------------------------------------------------


def cannot_fetch(observed: Observed, revision: str) -> FetchFailure | None:
    """Why pods of a revision have not its model; None if all have it, or may get it.

    The program has tried again by itself what may work the next time, for nine tenths of the progress deadline.
    """
    failed = [pod.fetched for pod in _pods_of(observed, revision) if not pod.ready and pod.fetched]
    report = next((each for each in failed if each.reason), None)
    if report is None or report.reason is None:
        return None
    return FetchFailure(reason=Reason(report.reason.value), message=report.words)


def planted(observed: Observed, status: ModelDeploymentStatus, revision: str) -> FetchFailure | None:
    """That pods of a first revision followed a pin that somebody else had written; None if they did not."""
    found = any(pod.fetched and pod.fetched.pinned for pod in _pods_of(observed, revision))
    if not found or model_of(status, revision):
        return None
    return FetchFailure(reason=Reason.MODEL_CHANGED, message=_planted(observed, revision))


def failure(observed: Observed, status: ModelDeploymentStatus, revision: str) -> FetchFailure | None:
    """Why a canary must not go on: a pod cannot fetch its model, or has another one than the first; None otherwise."""
    if lacking := cannot_fetch(observed, revision) or planted(observed, status, revision):
        return lacking
    entry = model_of(status, revision)
    if entry and entry.changed:
        message = f"its pods have not the same model ({entry.changed}). Name a version that cannot change"
        return FetchFailure(reason=Reason.MODEL_CHANGED, message=message)
    return None


def _planted(observed: Observed, revision: str) -> str:
    name = pin_name(observed.model.name, revision)
    return (
        f"somebody else wrote the pin of its model, ConfigMap {name}, before its first pod began."
        f" Delete it: kubectl delete configmap {name} -n {observed.model.namespace}"
    )


def described(entry: FetchedModel) -> str:
    """A model in words."""
    files = "1 file" if entry.files == 1 else f"{entry.files} files"
    digest = f", {entry.digest}" if entry.digest else ""
    return f"{entry.uri} ({files}, {amount(entry.bytes)}{digest})"


def conditions(status: ModelDeploymentStatus) -> Iterator[tuple[ConditionType, Reason, str]]:
    """Conditions that are there because of what is known of fetched models."""
    fetched = status.fetched
    if changed := [entry for entry in fetched if entry.changed]:
        yield (
            ConditionType.MODEL_CHANGED,
            Reason.MODEL_CHANGED,
            _all(_told_of_change(each) for each in changed),
        )
    if moved := [entry for entry in fetched if entry.source_moved]:
        yield ConditionType.SOURCE_MOVED, Reason.SOURCE_MOVED, _all(_moved(each) for each in moved)
    if mutable := [entry for entry in fetched if entry.identity is not Identity.PINNED]:
        yield ConditionType.SOURCE_MUTABLE, Reason.SOURCE_MUTABLE, _all(_mutable(each) for each in mutable)


def _all(sentences: Iterator[str]) -> str:
    return " ".join(sentences)


def _told_of_change(entry: FetchedModel) -> str:
    return (
        f"Revision {entry.revision}: {entry.changed}. Pods that run are left alone; put back what was at {entry.uri}, or"
        " send out what is there now with modelward.dev/refresh, before the last of them goes."
    )


def _moved(entry: FetchedModel) -> str:
    return (
        f"Revision {entry.revision}: something else is at {entry.uri} than when the revision began;"
        " modelward.dev/refresh sends it out as a canary."
    )


def _mutable(entry: FetchedModel) -> str:
    if entry.identity is Identity.NOT_COVERED:
        return f"Revision {entry.revision}: contents of {entry.uri} are not read, so a change of them is not seen."
    return (
        f"Revision {entry.revision}: {entry.uri} can be overwritten; pods that start after that fail with ModelChanged."
        " Turn on versions in the store and name one object, or name a commit or digest."
    )


# --- while it is fetched ------------------------------------------------------------------------------------


def fetching(observed: Observed, revision: str) -> str:
    """How far the slowest pod is that fetches, in words; empty if none does."""
    pods = [pod for pod in observed.fetched_pods if pod.revision == revision and pod.fetching]
    reported = sorted(observed.progress[pod.name] for pod in pods if pod.name in observed.progress)
    if reported:
        return reported[0]
    return "fetching its model, progress unknown" if pods else ""


def amount(count: float) -> str:
    """As 1.3 GiB."""
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == _UNITS[0] else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"
