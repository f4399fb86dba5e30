"""Several operators, real processes, one real API server: one writes at a time, and another soon takes over.

The Lease is a short one here, so that a takeover takes seconds; `make bench-failover` measures the real one, and a
thousand losses. The API server's audit log shows who wrote what.
"""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

from devcluster import Cluster
from support import audit
from support.kubectl import Kubectl
from support.models import KIND, fake_model, wait_ready
from support.operator import OperatorProcess
from support.replicas import ROLE, Harm, Replica, Replicas, changing
from support.terms import Account, account
from support.waiting import until

SHORT = {"leaseSeconds": 4, "renewDeadlineSeconds": 3.0, "retrySeconds": 0.5}
TRIALS = 12
SEED = 8
CHANGE_SECONDS = 0.2


@pytest.fixture
def replicas(
    cluster: Cluster, credentials: Path, tmp_path: Path, namespace: str, kubectl: Kubectl
) -> Iterator[Replicas]:
    """Operators with a short Lease in the module's namespace; none is started yet."""
    kubectl("delete", "lease", "--all")
    with Replicas(cluster, credentials, tmp_path, namespace, **SHORT) as made:
        yield made


def reported(cluster: Cluster, replicas: Replicas, since: float) -> Account:
    """The account of the API server: nobody has sent anything out of turn, and nothing was changed but by the leader."""
    audit.wait_written(cluster)
    found = account(cluster.audit_log, replicas.lease, since=since)
    assert found.sent_out_of_turn(replicas.sent()) == []
    assert [str(each) for each in found.landed_out_of_turn()] == []
    return found


def knows(replica: Replica, model: str) -> bool:
    """Whether it holds a view of the model."""
    return f'name="{model}"' in httpx.get(replica.process.url("metrics")).text


@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.integrations), 3])
def test_of_many_started_in_the_same_moment_one_works(
    cluster: Cluster, replicas: Replicas, kubectl: Kubectl, count: int
) -> None:
    """The others read everything, are ready, and write nothing."""
    since, name = time.time(), f"together-{count}"
    replicas.launch(count)
    leader = replicas.leader()
    kubectl.apply(fake_model(name))
    wait_ready(kubectl, name)
    found = reported(cluster, replicas, since)
    assert found.writers(name) == {leader.identity}
    assert [term.who for term in found.terms] == [leader.identity]
    others = [each for each in replicas.all if each is not leader]
    for other in others:
        assert other.process.metric("modelward_leader") == 0
        assert other.process.metric("modelward_queue_depth") == 0
        until(partial(knows, other, name), "the standby knows the model, too")


@pytest.mark.parametrize(
    "how",
    [
        Harm.KILL,
        Harm.CUT,
        *(pytest.param(how, marks=pytest.mark.integrations) for how in (Harm.END, Harm.FREEZE)),
    ],
)
def test_another_takes_over(cluster: Cluster, replicas: Replicas, kubectl: Kubectl, how: Harm) -> None:
    """Work that comes after the loss is done by the heir; the former leader stands by when it is back."""
    since, name = time.time(), f"after-{how.name.lower()}"
    replicas.launch(2)
    before = replicas.leader()
    was = before.identity
    before.harm(how)
    kubectl.apply(fake_model(name))
    heir = replicas.leader(but=before)
    wait_ready(kubectl, name)
    assert reported(cluster, replicas, since).writers(name) <= {was, heir.identity}
    before.reconnect()
    replicas.wait_ready()
    kubectl.patch(KIND, name, {"spec": {"model": {"version": "2"}}})
    kubectl("wait", "--for=jsonpath={.status.observedGeneration}=2", f"{KIND}/{name}", "--timeout=60s")
    wait_ready(kubectl, name)
    terms = [term.who for term in reported(cluster, replicas, since).terms]
    assert terms[:2] == [was, heir.identity]


def test_sigterm_gives_the_lease_back(
    cluster: Cluster, credentials: Path, tmp_path: Path, namespace: str, kubectl: Kubectl
) -> None:
    """With a Lease of an hour the heir leads nevertheless, as the leader has released it."""
    kubectl("delete", "lease", "--all")
    hour = {"leaseSeconds": 3600, "renewDeadlineSeconds": 1800, "retrySeconds": 2}
    with Replicas(cluster, credentials, tmp_path, namespace, **hour) as replicas:
        replicas.launch(2)
        before = replicas.leader()
        before.harm(Harm.END)
        heir = replicas.leader(but=before)
        assert "released Lease" in before.process.text()
        lease = kubectl.get("lease", "modelward")
        assert lease is not None
        assert lease["spec"]["holderIdentity"] == heir.identity
        heir.harm(Harm.END)
        until(lambda: "stopped" in heir.process.text(), "the last one has ended")
        lease = kubectl.get("lease", "modelward")
        assert lease is not None
        assert lease["spec"].get("holderIdentity", "") == ""


@pytest.mark.integrations
def test_no_write_out_of_turn_in_many_losses(cluster: Cluster, replicas: Replicas) -> None:
    """Harmed at random moments of constant work: no request of an ex-leader began after its loss."""
    chance = random.Random(SEED)
    since = time.time()
    replicas.launch(3)
    with changing(cluster, replicas.namespace, pause=CHANGE_SECONDS):
        for _ in range(TRIALS):
            leader = replicas.leader()
            time.sleep(chance.uniform(0, 1))
            leader.harm(chance.choice(list(Harm)))
            replicas.leader(but=leader)
            leader.reconnect()
            replicas.wait_ready()
    found = reported(cluster, replicas, since)
    assert len(found.terms) > TRIALS
    assert len(found.writes) > TRIALS


def test_without_the_role_it_says_so_and_writes_nothing(
    cluster: Cluster, tmp_path: Path, kubectl: Kubectl, namespace: str
) -> None:
    """The readiness probe and the log name the Role; once it is there the process goes on by itself."""
    since = time.time()
    kubectl("create", "serviceaccount", "newcomer")
    rights = ("--clusterrole=modelward", f"--serviceaccount={namespace}:newcomer")
    kubectl("create", "clusterrolebinding", f"newcomer-{namespace}", *rights)
    flags = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    process = OperatorProcess(cluster.kubeconfig_for(namespace, "newcomer"), tmp_path, *flags)
    process.launch()
    try:
        until(lambda: "apply the Role modelward-leader-election" in process.text(), "it names the Role")
        assert not process.is_ready()
        kubectl.apply(fake_model("unserved"))
        assert process.writes() == 0
        role, binding = yaml.safe_load_all(ROLE.read_text(encoding="utf-8"))
        binding["metadata"]["name"] = "newcomer"
        binding["subjects"][0] |= {"name": "newcomer", "namespace": namespace}
        kubectl.apply(role, binding)
        until(process.leads, "it leads")
        wait_ready(kubectl, "unserved")
    finally:
        process.stop()
        kubectl("delete", "clusterrolebinding", f"newcomer-{namespace}")
    found = account(cluster.audit_log, (namespace, "modelward"), since=since)
    assert found.landed_out_of_turn() == []


def test_who_promises_to_be_alone_needs_no_lease(
    credentials: Path, tmp_path: Path, namespace: str, kubectl: Kubectl
) -> None:
    """It works at once, and asks for none."""
    flags = (f"--namespace={namespace}", "--lease-namespace=nowhere", "--no-leader-election")
    process = OperatorProcess(credentials, tmp_path, *flags)
    process.start()
    try:
        kubectl.apply(fake_model("alone"))
        wait_ready(kubectl, "alone")
        assert "leader election is off" in process.text()
    finally:
        process.stop()


def test_the_role_is_what_the_lease_needs() -> None:
    """One Lease, by its name, in one namespace; only `create` cannot name it."""
    role, binding = yaml.safe_load_all(ROLE.read_text(encoding="utf-8"))
    assert (role["kind"], binding["kind"]) == ("Role", "RoleBinding")
    create, rest = role["rules"]
    assert create == {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}
    assert rest == {**create, "resourceNames": ["modelward"], "verbs": ["get", "patch"]}
