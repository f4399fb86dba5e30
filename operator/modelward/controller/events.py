"""Report a decision once it is recorded: Kubernetes Events, metrics, the log."""

import hashlib
import logging
from datetime import datetime
from typing import Any, Final

from modelward.api import names
from modelward.api.model import Model
from modelward.api.printable import printable
from modelward.api.status import ModelDeploymentStatus
from modelward.api.times import format_micro, parse
from modelward.clients.kube import Kube
from modelward.clients.resources import EVENT
from modelward.controller.metrics import Metrics
from modelward.errors import AlreadyExists, ModelwardError
from modelward.rollout.decision import Announcement

_NAME_LIMIT: Final = 200
_NOTE_LIMIT: Final = 1024
"""Bytes of a note that events.k8s.io takes (NoteLengthLimit in its validation); a longer one loses the Event."""
_ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"

logger = logging.getLogger(__name__)


async def publish(
    kube: Kube, model: Model, decision: int, announcements: tuple[Announcement, ...], now: datetime
) -> None:
    """Send one Event per announcement, at most once: a lost one is not sent again, `status.history` keeps it."""
    for announcement in announcements:
        logger.info(
            "%s/%s: %s",
            model.namespace,
            model.name,
            announcement.message,
            extra={"reason": announcement.reason},
        )
        try:
            await kube.create(EVENT, event(model, decision, announcement, now))
        except AlreadyExists:
            pass  # reported before we were stopped
        except ModelwardError as error:
            logger.warning(
                "event %s of %s/%s is lost: %s", announcement.reason, model.namespace, model.name, error
            )


def event(model: Model, decision: int, announcement: Announcement, now: datetime) -> dict[str, Any]:
    """The Event (events.k8s.io/v1). Its name follows from object, decision and words, so it cannot be sent twice.

    One decision may have more to say for the same reason: two commands that do nothing, or another edit by hand.
    """
    prefix = names.bounded(model.name, _NAME_LIMIT)
    said = f"{model.uid}/{decision}/{announcement.reason}/{announcement.message}"
    digest = hashlib.sha256(said.encode(errors="replace")).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": EVENT.kind,
        "metadata": {"name": f"{prefix}.{digest}", "namespace": model.namespace},
        "eventTime": format_micro(now),
        "reportingController": f"{names.GROUP}/operator",
        "reportingInstance": names.MANAGER,
        "action": announcement.reason,
        "reason": announcement.reason,
        "type": "Warning" if announcement.warning else "Normal",
        "note": _note(announcement.message),
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": model.namespace,
            "name": model.name,
            "uid": model.uid,
            "resourceVersion": model.resource_version,
        },
    }


def _note(message: str) -> str:
    """The message, printable, in at most 1024 bytes, whole characters only; an ellipsis shows the cut."""
    message = printable(message)
    encoded = message.encode()
    if len(encoded) <= _NOTE_LIMIT:
        return message
    return encoded[: _NOTE_LIMIT - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def count_rollout(metrics: Metrics, before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> None:
    """Count the rollouts that ended with this decision."""
    for entry in after.history:
        if entry in before.history:
            break
        metrics.rollouts.labels(entry.result.value).inc()
        if entry.start_time and entry.end_time:
            seconds = (parse(entry.end_time) - parse(entry.start_time)).total_seconds()
            metrics.rollout_duration_seconds.labels(entry.result.value).observe(seconds)
    for rejected in after.rejected_revisions:
        if rejected in before.rejected_revisions:
            break
        metrics.rollbacks.labels(rejected.reason).inc()
