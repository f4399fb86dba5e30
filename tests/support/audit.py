"""What the operator asked of the API server: the server's own account, its audit log."""

import json
from collections.abc import Iterator
from typing import Any

from devcluster import Cluster

OPERATOR = "system:serviceaccount:modelward-system:modelward"


def requests(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Audit events of the operator's account, of this and earlier runs on the cluster."""
    with cluster.audit_log.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            if event.get("user", {}).get("username") == OPERATOR:
                yield event


def lacked_a_right(event: dict[str, Any]) -> bool:
    """Whether it was forbidden. Not the code 403: a quota, or a namespace that is being deleted, is no such matter."""
    return bool(event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid")
