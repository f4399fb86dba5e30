"""A leader that has lost its Lease and nothing else, and one that forgets to renew it. Real processes, real API server.

What becomes of leaders that are killed, stopped, frozen or cut off is in test_leader.py.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml

from devcluster import Cluster
from support import audit
from support.kubectl import Kubectl
from support.models import KIND, fake_model, wait_ready
from support.operator import OperatorProcess
from support.replicas import LEASE_NAME, ROLE
from support.terms import account
from support.waiting import until

LEASE: Final = {"leaseSeconds": 4, "renewDeadlineSeconds": 3.0, "retrySeconds": 0.5}
FORGETFUL: Final = """
import asyncio
from modelward_cli import main
from modelward.leader import leader

async def forget(self):
    await asyncio.sleep(10**6)

leader.STUCK_AFTER_SECONDS = 2.0
leader.Leader._hold = forget
main()
"""
"""An operator whose work on the Lease stands still from the moment in which it leads."""


@pytest.fixture
def pair(
    cluster: Cluster, kubectl: Kubectl, namespace: str, tmp_path: Path
) -> Iterator[dict[str, OperatorProcess]]:
    """Two operators by their accounts; neither is started."""
    kubectl("delete", "lease", "--all")
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump({"leaderElection": LEASE}), encoding="utf-8")
    scope = (f"--settings={settings}", f"--namespace={namespace}", f"--lease-namespace={namespace}")
    made = {}
    for name in ("east", "west"):
        kubectl("create", "serviceaccount", name)
        rights = ("--clusterrole=modelward", f"--serviceaccount={namespace}:{name}")
        kubectl("create", "clusterrolebinding", f"{namespace}-{name}", *rights)
        grant_lease(kubectl, name)
        (tmp_path / name).mkdir()
        made[name] = OperatorProcess(cluster.kubeconfig_for(namespace, name), tmp_path / name, *scope)
    try:
        yield made
    finally:
        for name, process in made.items():
            process.stop()
            kubectl("delete", "clusterrolebinding", f"{namespace}-{name}")
            kubectl("delete", "serviceaccount", name)


def grant_lease(kubectl: Kubectl, name: str) -> None:
    """Give one account the right to the Lease."""
    role, binding = yaml.safe_load_all(ROLE.read_text(encoding="utf-8"))
    binding["metadata"]["name"] = name
    binding["subjects"][0] |= {"name": name, "namespace": kubectl.namespace}
    kubectl.apply(role, binding)


def test_cut_off_from_the_lease_alone(
    cluster: Cluster, kubectl: Kubectl, pair: dict[str, OperatorProcess]
) -> None:
    """Everything else works for it, and it writes nothing: it says why, stands by, and is a candidate again later."""
    since, (east, west) = time.time(), pair.values()
    east.start()
    west.launch()
    until(west.is_ready, "the other one stands by")
    kubectl.apply(fake_model("before"))
    wait_ready(kubectl, "before")

    kubectl("delete", "rolebinding", "east")
    until(west.leads, "the other one takes over")
    assert not east.is_ready()
    assert "apply the Role modelward-leader-election" in east.text()
    assert httpx.get(east.url("healthz"), trust_env=False).status_code == httpx.codes.OK, (
        "no restart repairs that"
    )
    kubectl.patch(KIND, "before", {"spec": {"model": {"version": "2"}}})
    kubectl("wait", "--for=jsonpath={.status.observedGeneration}=2", f"{KIND}/before", "--timeout=60s")
    wait_ready(kubectl, "before")

    grant_lease(kubectl, "east")
    until(east.is_ready, "it is a candidate again")
    assert west.leads()
    audit.wait_written(cluster)
    found = account(cluster.audit_log, (kubectl.namespace, LEASE_NAME), since=since)
    assert len(found.terms) == 2
    assert [str(each) for each in (*found.landed_out_of_turn(), *found.late_creates())] == []


def test_a_process_whose_lease_stands_still_is_ended(
    cluster: Cluster, kubectl: Kubectl, pair: dict[str, OperatorProcess]
) -> None:
    """Its gate shuts by itself, another one takes over, and its liveness probe says that only a restart helps."""
    since, (stuck, other) = time.time(), pair.values()
    stuck.launch(program=("-c", FORGETFUL))
    until(lambda: "leading, by" in stuck.text(), "it leads")
    other.launch()
    until(other.leads, "another one takes over")
    in_turn = stuck.writes()
    kubectl.apply(fake_model("later"))
    wait_ready(kubectl, "later")
    health = httpx.get(stuck.url("healthz"), trust_env=False)
    assert health.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert "was not polled" in health.text
    assert stuck.writes() == in_turn
    audit.wait_written(cluster)
    found = account(cluster.audit_log, (kubectl.namespace, LEASE_NAME), since=since)
    assert len(found.terms) == 2
    assert [str(each) for each in found.landed_out_of_turn()] == []
