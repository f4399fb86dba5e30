"""Converts pods: a raw pod in, the facts that health and sampling need of it out.

Sources: core/v1 PodStatus; the kubelet's words for what happens to a pod (k8s.io/kubernetes, pkg/kubelet:
status/generate.go, eviction/eviction_manager.go, kuberuntime/kuberuntime_manager.go).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from modelward.api import names
from modelward.api.fetch_report import CONTAINER as FETCH_CONTAINER
from modelward.api.fetch_report import FetchReport, read_report
from modelward.api.objects import Raw
from modelward.api.times import parse
from modelward.cache.pod_address import pod_address
from modelward.rollout.observed import Exit, Pod
from modelward.rollout.room import PODS, lacked_on_nodes

PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
CRASH_LOOP: Final = "CrashLoopBackOff"
_BACK_OFF_FORGOTTEN_AFTER: Final = timedelta(minutes=10)
"""The kubelet's back-off begins anew for a container that ran for so long (twice its longest back-off)."""
_PROBE_JITTER_SECONDS: Final = 2
"""Times of the kubelet have no fractions, and a probe's first try may come up to a period early."""
_NORMAL_WAITS: Final = frozenset({"ContainerCreating", "PodInitializing"})
_NOTHING: Final = frozenset[str]()


def pod(raw: Raw) -> Pod:
    """A pod of one of our Deployments."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    conditions = {each.get("type"): each for each in status.get("conditions") or ()}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    init = status.get("initContainerStatuses") or ()
    containers = status.get("containerStatuses") or ()
    fetch: Raw = next((each for each in init if each.get("name") == FETCH_CONTAINER), {})
    return Pod(
        name=metadata["name"],
        revision=(metadata.get("labels") or {}).get(names.REVISION_LABEL, ""),
        created=_time(metadata.get("creationTimestamp")),
        node=spec.get("nodeName", ""),
        ip=pod_address(raw),
        scheduled=_time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        started=_started(containers),
        ready=ready.get("status") == "True",
        ready_since=_time(ready.get("lastTransitionTime")),
        lost_readiness=_has_lost_readiness(conditions, containers),
        restarts=_restarts(containers),
        init_restarts=_restarts(init),
        ended=_last_exit(spec, init, containers, ready),
        crash_looping=_crash_looping(init, containers),
        deleting="deletionTimestamp" in metadata,
        failed=status.get("reason") or "Failed" if status.get("phase") == "Failed" else "",
        over_storage_limit=_is_over_storage_limit(status, conditions),
        problem=_problem(spec, status, scheduled, ready),
        priority=spec.get("priority") or 0,
        preempts=spec.get("preemptionPolicy") != "Never",
        holds=frozenset(_requested(spec)),
        lacks=lacked_on_nodes(scheduled.get("message", ""))
        if scheduled.get("status") == "False"
        else _NOTHING,
        fetched=_fetched(fetch),
        fetching="running" in (fetch.get("state") or {}),
    )


def _fetched(container: Raw) -> FetchReport | None:
    """What the fetch container said when it ended last. A failure is reported until another end replaces it."""
    return read_report(str((_ended(container) or {}).get("message") or ""))


def _requested(spec: Raw) -> Iterator[str]:
    """Names of the resources that a pod has for itself once it is on a node."""
    yield PODS
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources = container.get("resources") or {}
        yield from (*(resources.get("requests") or ()), *(resources.get("limits") or ()))


def _started(containers: Iterable[Raw]) -> datetime | None:
    """Since when all containers run; a counter of theirs begins anew with each run."""
    times = [_time(((each.get("state") or {}).get("running") or {}).get("startedAt")) for each in containers]
    known = [time for time in times if time]
    return max(known) if known and len(known) == len(times) else None


def _restarts(containers: Iterable[Raw]) -> int:
    return sum(each.get("restartCount", 0) for each in containers)


def _has_lost_readiness(conditions: Mapping[str, Raw], containers: Iterable[Raw]) -> bool:
    """It was ready in this run or one before, and its containers say that they are not any more.

    Before the first start of a container the kubelet has set Ready to False already, so a change after the
    start is a loss. A node that is lost, or a readiness gate, turns Ready alone; the containers stay ready.
    """
    ready = conditions.get("Ready", {})
    if ready.get("status") == "True" or conditions.get("ContainersReady", {}).get("status") == "True":
        return False
    if _restarts(containers):
        return True
    started, changed = _started(containers), _time(ready.get("lastTransitionTime"))
    return bool(started and changed and changed > started)


def _last_exit(spec: Raw, init: Iterable[Raw], containers: Iterable[Raw], ready: Raw) -> Exit | None:
    """The latest end of a container. An init container that has done its work has not failed."""
    ends = [
        _exit(spec, container, ended, ready)
        for group, may_end in ((init, True), (containers, False))
        for container in group
        if (ended := _ended(container)) and not (may_end and ended.get("exitCode") == 0)
    ]
    return max(ends, key=lambda end: end.time.timestamp() if end.time else 0.0, default=None)


def _exit(spec: Raw, container: Raw, ended: Raw, ready: Raw) -> Exit:
    return Exit(
        container=str(container.get("name", "")),
        code=ended.get("exitCode", 0),
        reason=ended.get("reason", ""),
        time=_time(ended.get("finishedAt")),
        overdue_seconds=_overdue_seconds(spec, container, ended, ready),
    )


def _overdue_seconds(spec: Raw, container: Raw, ended: Raw, ready: Raw) -> int:
    """How long the container had to get ready, if the kubelet stopped it because it did not; else 0.

    No field of a pod says so, only an Event that may be lost. But whoever is not ready when its startup probe has failed
    for the last time is stopped, so one that ran for as long and was not ready in that run was. What the kernel killed
    (OOMKilled) is recognised by its reason.
    """
    probe = next(
        (
            each.get("startupProbe")
            for each in spec.get("containers") or ()
            if each.get("name") == container.get("name")
        ),
        None,
    )
    started, finished, since = (
        _time(ended.get("startedAt")),
        _time(ended.get("finishedAt")),
        _time(ready.get("lastTransitionTime")),
    )
    if not probe or started is None or finished is None or since is None:
        return 0
    if (
        ended.get("reason") not in ("Completed", "Error", "", None)
        or ready.get("status") == "True"
        or since > started
    ):
        return 0
    seconds = probe.get("initialDelaySeconds", 0) + probe.get("failureThreshold", 3) * probe.get(
        "periodSeconds", 10
    )
    return seconds if (finished - started).total_seconds() >= seconds - _PROBE_JITTER_SECONDS else 0


def _ended(container: Raw) -> Raw | None:
    now, before = container.get("state") or {}, container.get("lastState") or {}
    ended: Raw | None = now.get("terminated") or before.get("terminated")
    return ended


def _crash_looping(init: Iterable[Raw], containers: Iterable[Raw]) -> str:
    """The container that the kubelet holds back because it ended twice within ten minutes.

    It reports CrashLoopBackOff only when it syncs the pod again, and that may be when the back-off is over: ten
    seconds later (seen with Kubernetes 1.36). Until then both ends are in status.
    """
    for container in (*init, *containers):
        if _waiting(container).get("reason") == CRASH_LOOP or _ended_twice(container):
            return str(container.get("name", ""))
    return ""


def _ended_twice(container: Raw) -> bool:
    now = (container.get("state") or {}).get("terminated") or {}
    before = (container.get("lastState") or {}).get("terminated") or {}
    last, first = _time(now.get("finishedAt")), _time(before.get("finishedAt"))
    if last is None or first is None or (container.get("ready") and now.get("exitCode") == 0):
        return False  # an init container that has succeeded in the end is "ready"
    return last - first <= _BACK_OFF_FORGOTTEN_AFTER


def _is_over_storage_limit(status: Raw, conditions: Mapping[str, Raw]) -> bool:
    """Evicted for its own use of disk. Whoever goes for the node's sake carries the condition DisruptionTarget."""
    return status.get("reason") == "Evicted" and "DisruptionTarget" not in conditions


def _problem(spec: Raw, status: Raw, scheduled: Raw, ready: Raw) -> str:
    """Why a pod is not ready, in words that stay the same while it stays the same."""
    if scheduled.get("status") == "False":
        return f"not scheduled: {scheduled.get('message', '')}"
    if status.get("reason") == "Evicted":
        return f"evicted: {status.get('message', '')}"
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        if container.get("name") == FETCH_CONTAINER and (report := _fetched(container)) and report.reason:
            return report.words
        if problem := "; ".join(_container_problems(spec, container, ready)):
            return f"{container.get('name')}: {problem}"
    return _probe_problem(spec, containers)


def _waiting(container: Raw) -> Raw:
    waiting: Raw = (container.get("state") or {}).get("waiting") or {}
    return waiting


def _container_problems(spec: Raw, container: Raw, ready: Raw) -> Iterator[str]:
    waiting = _waiting(container)
    reason = waiting.get("reason", "")
    if reason in PULL_FAILURES:
        # The two pull reasons alternate every few seconds; what is wrong stays the same.
        yield f"image {container.get('image')} cannot be pulled"
        return
    if reason and reason not in _NORMAL_WAITS:
        yield reason if reason == CRASH_LOOP else f"{reason}: {waiting.get('message', '')}".rstrip(": ")
    ended = (container.get("lastState") or {}).get("terminated") or (container.get("state") or {}).get(
        "terminated"
    )
    if ended and not container.get("ready"):
        yield _exit(spec, container, ended, ready).words


def _probe_problem(spec: Raw, containers: list[Raw]) -> str:
    """A running container that is not ready: its probe says so, or the model is still being loaded."""
    probes = {
        each.get("name"): each.get("startupProbe") or each.get("readinessProbe")
        for each in spec.get("containers") or ()
    }
    for container in containers:
        running = (container.get("state") or {}).get("running")
        probe = (probes.get(container.get("name")) or {}).get("httpGet")
        if running and not container.get("ready") and probe:
            return (
                f"running, but GET :{probe.get('port')}{probe.get('path')} (readiness) does not succeed yet"
            )
    return ""


def _time(text: str | None) -> datetime | None:
    try:
        return parse(text) if text else None
    except ValueError:
        return None
