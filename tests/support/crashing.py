"""What a kubelet says of pods that crash, for pods that none runs."""

from datetime import UTC, datetime
from typing import Any


def crash_looping(pod: dict[str, Any]) -> dict[str, Any]:
    """The status of a pod whose only container ends again and again."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    container = pod["status"]["containerStatuses"][0]
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": now, "startedAt": now}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}
    changed = {
        "ready": False,
        "restartCount": 6,
        "state": {"waiting": waiting},
        "lastState": {"terminated": ended},
    }
    conditions = [
        {**each, "status": "False"} if each["type"] in {"Ready", "ContainersReady"} else each
        for each in pod["status"]["conditions"]
    ]
    return {"conditions": conditions, "containerStatuses": [{**container, **changed}]}
