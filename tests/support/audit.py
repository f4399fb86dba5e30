"""What the operator asked of the API server: the server's own account, its audit log."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

from devcluster import Cluster
from support.api_server import reader
from support.waiting import until

OPERATOR = "system:serviceaccount:modelward-system:modelward"


def requests(cluster: Cluster, account: str = OPERATOR) -> Iterator[dict[str, Any]]:
    """Audit events of an account, by default the operator's, of this and earlier runs on the cluster; oldest first."""
    log = cluster.audit_log
    rotated = sorted(
        log.parent.glob(f"{log.stem}-*{log.suffix}")
    )  # the API server puts the time into the name
    for path in (*rotated, log):
        with path.open(encoding="utf-8") as lines:
            events = (json.loads(line) for line in lines if account in line)
            yield from (event for event in events if event.get("user", {}).get("username") == account)


def lacked_a_right(event: dict[str, Any]) -> bool:
    """Whether it was forbidden. Not the code 403: a quota, or a namespace that is being deleted, is no such matter."""
    return bool(event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid")


def wait_written(cluster: Cluster) -> None:
    """Return when the log has all requests that were answered before: those lines come before that of a request of ours."""
    mark = f"/version?mark={secrets.token_hex(8)}"
    before = cluster.audit_log.stat().st_size
    reader(cluster).client.get(mark).raise_for_status()

    def there() -> bool:
        with cluster.audit_log.open("rb") as log:
            log.seek(before if before <= cluster.audit_log.stat().st_size else 0)  # it may have been rotated
            return mark.encode() in log.read()

    until(there, "the audit log is written")
