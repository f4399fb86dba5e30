"""What a watch loses, doubles or breaks does no harm: a seeded sample of `python -m faults.disturb`, and what has one case.

Pods are kwok's. The pause between two sweeps is compressed, so that what is repaired by them is repaired at once.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from devcluster import Cluster
from faults.crowd import Crowd
from faults.disturb import (
    QUICK,
    all_struck,
    drawn,
    event_strikes,
    missed,
    outcomes,
    reported,
    stream_trial,
    undisturbed,
)
from faults.outcome import Outcome
from faults.plan import PASS, Answer, Drop, Fault, Frame, FrameFault, Plan, Reply, Request
from faults.proxy import Proxy
from faults.watch_faults import BUSY, KINDS, STREAM_FAULTS, DeletionDropped, OneEvent, mixed, refusal
from faults.workloads import BY_NAME
from support.kubectl import Kubectl
from support.models import KIND, fake_model, status, wait_quiet, wait_ready
from support.operator import OperatorProcess
from support.waiting import until

pytestmark = pytest.mark.slow

SEED: Final = 20_261_122
RESYNC_SECONDS: Final = 2.0
FLAGS: Final = ("--no-leader-election", f"--resync-seconds={RESYNC_SECONDS}")
SAMPLE: Final = 16


@pytest.fixture(scope="module")
def crowd(cluster: Cluster, credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """One operator behind the fault proxy, for all tests of the module that need nothing of their own."""
    with Crowd(cluster, credentials, tmp_path_factory.mktemp("crowd"), *FLAGS) as found:
        yield found


@dataclass(frozen=True, slots=True)
class Usual:
    """What happens without a fault."""

    trials: list[Any]
    ends: dict[str, Outcome]


@pytest.fixture(scope="module")
def usual(crowd: Crowd) -> Usual:
    """Each workload, undisturbed."""
    trials = undisturbed(crowd, QUICK, lambda: OneEvent(0))
    return Usual(trials, outcomes(trials))


@pytest.fixture(scope="module")
def ends(crowd: Crowd) -> dict[str, Outcome]:
    """What the two workloads come to whose streams and deletion are disturbed here; once each is enough for that."""
    return outcomes(undisturbed(crowd, ("good canary", "delete"), lambda: OneEvent(0), times=1))


@pytest.mark.integrations
def test_events_that_are_lost_doubled_late_or_out_of_order(crowd: Crowd, usual: Usual) -> None:
    """Each rollout ends as without a fault, and nothing that must hold is broken on the way."""
    trials = all_struck(crowd, drawn(list(event_strikes(usual.trials)), SAMPLE, SEED), usual.ends)
    assert missed(trials) == []
    assert [reported(each) for each in trials if each.problems] == []


def test_a_deletion_that_no_event_reports_makes_nothing_again(crowd: Crowd, ends: dict[str, Outcome]) -> None:
    """The garbage collector removes the children; each that goes has the operator ask for the model itself."""
    (trial,) = crowd.run([(BY_NAME["delete"], "the deletion dropped", DeletionDropped())], ends)
    assert trial.plan.struck.startswith("DELETED ModelDeployment")
    assert trial.problems == []


@pytest.mark.integrations
def test_all_streams_freeze_at_once(crowd: Crowd, ends: dict[str, Outcome]) -> None:
    """Sweeps show what the streams do not; the same process goes on, and does not list everything again and again."""
    process = crowd.operator.pid
    trial = stream_trial(crowd, ends, "frozen", STREAM_FAULTS["frozen"](frozenset(KINDS)))
    assert set(trial.plan.struck.split(", ")) >= BUSY
    assert trial.problems == []
    assert crowd.operator.pid == process
    assert crowd.operator.is_ready()


def test_every_stream_fails_in_another_way(crowd: Crowd, ends: dict[str, Outcome]) -> None:
    """No stream takes another one with it."""
    trial = stream_trial(crowd, ends, "mixed", mixed(SEED))
    assert set(trial.plan.struck.split(", ")) >= BUSY
    assert trial.problems == []


# --- one case each ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Deaf(Plan):
    """Events of some kinds never come; with `lists` lists are refused as well."""

    kinds: frozenset[str] = frozenset(KINDS)
    lists: bool = False
    dropped: set[str] = field(default_factory=set)
    """Of which kinds something was kept from the operator."""

    def frame(self, watch: Request, frame: Frame) -> FrameFault:
        """Nothing comes."""
        del frame
        if watch.place.resource not in self.kinds:
            return PASS
        self.dropped.add(watch.place.resource)
        return Drop()

    def request(self, request: Request) -> Fault:
        """The server is in trouble, for those who list."""
        return refusal(503, "ServiceUnavailable") if self.lists and request.lists else PASS


def age(operator: OperatorProcess) -> float:
    """The oldest view, in seconds."""
    text = httpx.get(operator.url("metrics"), trust_env=False).text
    lines = [line for line in text.splitlines() if line.startswith("modelward_watch_age_seconds{")]
    return max(float(line.rpartition(" ")[2]) for line in lines)


def health(operator: OperatorProcess) -> str:
    """What /healthz says."""
    return httpx.get(operator.url("healthz"), trust_env=False).text.strip()


def test_age_of_the_view_rises_while_nothing_comes_and_falls_afterwards(crowd: Crowd) -> None:
    """Beyond what sweeps take in health, and readiness says of what; alive all the time: a restart would not help."""
    crowd.proxy.reset(Deaf(lists=True))
    until(lambda: age(crowd.operator) > 4 * RESYNC_SECONDS, "the view gets old")
    until(lambda: not crowd.operator.is_ready(), "it is not ready")
    said = httpx.get(crowd.operator.url("readyz"), trust_env=False).text
    assert "what is known of" in said
    assert health(crowd.operator) == "ok"
    crowd.proxy.reset()
    until(lambda: age(crowd.operator) < 2 * RESYNC_SECONDS, "the view is new again")
    until(crowd.operator.is_ready, "it is ready")


def test_a_model_made_again_under_its_name_while_all_watches_are_deaf(crowd: Crowd, cluster: Cluster) -> None:
    """The new one is served, within a sweep or two; nothing of the old one is taken for it."""
    kubectl = Kubectl(cluster, crowd.namespace)
    kubectl.apply(fake_model("again"))
    wait_ready(kubectl, "again")
    before = kubectl.get(KIND, "again")
    assert before
    deaf = Deaf()
    crowd.proxy.reset(deaf)
    kubectl("delete", KIND, "again", "--wait")
    kubectl.apply(fake_model("again", version="2"))
    wait_ready(kubectl, "again")
    after = kubectl.get(KIND, "again")
    assert after
    crowd.proxy.reset()
    assert deaf.dropped >= {"modeldeployments", "deployments", "services", "pods"}
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    (deployment,) = kubectl.all("deploy", "modelward.dev/model=again")
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == after["metadata"]["uid"]
    assert [each["result"] for each in after["status"]["history"]] == ["Promoted"]


def test_a_change_that_is_met_before_its_event_is_not_lost(crowd: Crowd, cluster: Cluster) -> None:
    """A child that goes has the operator ask for the model: the answer may be newer than anything that was reported."""
    kubectl = Kubectl(cluster, crowd.namespace)
    kubectl.apply(fake_model("met"))
    wait_ready(kubectl, "met")
    wait_quiet(kubectl, "met")
    (service,) = kubectl.all("svc", "modelward.dev/model=met")
    metadata = {key: service["metadata"][key] for key in ("labels", "ownerReferences")}
    leftover = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "met-leftover", **metadata}}
    deaf = Deaf(frozenset({"modeldeployments"}))
    crowd.proxy.reset(deaf)
    kubectl.apply(fake_model("met", version="2"), {**leftover, "spec": {"ports": [{"port": 80}]}})
    until(lambda: kubectl.get("svc", "met-leftover") is None, "what is not wanted is deleted")
    until(lambda: status(kubectl, "met")["history"][0]["modelVersion"] == "2", "the change goes out")
    crowd.proxy.reset()
    assert deaf.dropped


def test_a_dead_watch_ends_the_process_and_a_quiet_one_does_not(crowd: Crowd, cluster: Cluster) -> None:
    """Three sweeps in a row that find what the watch of Deployments should have reported; without changes none is dead."""
    kubectl = Kubectl(cluster, crowd.namespace)
    kubectl.apply(fake_model("busy"))
    wait_ready(kubectl, "busy")
    crowd.proxy.reset(Deaf(frozenset({"deployments"})))
    time.sleep(2 * RESYNC_SECONDS)
    assert health(crowd.operator) == "ok", "nothing happened, so that nothing was lost"

    def dead() -> bool:
        name = kubectl.all("deploy", "modelward.dev/model=busy")[0]["metadata"]["name"]
        kubectl("label", "deploy", name, f"changed=at-{time.monotonic_ns()}", "--overwrite")
        return "the watch of Deployment is dead" in health(crowd.operator)

    until(dead, "it says that the watch is dead")
    crowd.proxy.reset()
    kubectl("label", "deploy", "-l", "modelward.dev/model=busy", "changed-")
    until(lambda: health(crowd.operator) == "ok", "the watch lives")


@dataclass(slots=True)
class OldLists(Plan):
    """Remembers what lists say; later, each is answered once with what it said then."""

    then: dict[str, Answer] = field(default_factory=dict)
    remembers: bool = True
    serving: bool = False
    served: set[str] = field(default_factory=set)

    def request(self, request: Request) -> Fault:
        """The old answer, once."""
        old = self.then.get(request.target)
        if not self.serving or old is None or request.target in self.served:
            return PASS
        self.served.add(request.target)
        return Reply(old)

    def answer(self, request: Request, answer: Answer) -> Answer:
        """Remember it."""
        if request.lists and self.remembers:
            self.then[request.target] = answer
        return answer


def test_an_old_list_after_a_restart_undoes_nothing(
    cluster: Cluster, credentials: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    """The lists of before a rollout are what a new process sees first: no decision is made from them that lands."""
    plan = OldLists()
    with Proxy(credentials, tmp_path / "proxy", plan=plan) as proxy:
        operator = OperatorProcess(proxy.kubeconfig, tmp_path, *FLAGS)
        kubectl.apply(fake_model("old"))
        operator.start()
        wait_ready(kubectl, "old")
        operator.stop()
        operator.start()
        until(lambda: len(plan.then) >= len(KINDS), "lists with version 1 are remembered")
        plan.remembers = False
        kubectl.apply(fake_model("old", version="2"))
        until(lambda: _stable_and_quiet(kubectl, "old", "2"), "version 2 serves")
        operator.stop()
        before = kubectl.get(KIND, "old")
        pods = {each["metadata"]["uid"] for each in kubectl.all("pods", "modelward.dev/model=old")}
        plan.serving = True
        operator.start()
        try:
            until(lambda: len(plan.served) >= len(KINDS), "it was given the old lists")
            time.sleep(2 * RESYNC_SECONDS)
            after = kubectl.get(KIND, "old")
            assert before
            assert after
            assert after["status"]["stableRevision"] == before["status"]["stableRevision"]
            assert after["status"]["decision"] >= before["status"]["decision"]
            assert [each["result"] for each in after["status"]["history"]] == ["Promoted"] * 2
            assert {
                each["metadata"]["uid"] for each in kubectl.all("pods", "modelward.dev/model=old")
            } == pods
        finally:
            operator.stop()


def _stable_and_quiet(kubectl: Kubectl, name: str, version: str) -> bool:
    found = (kubectl.get(KIND, name) or {}).get("status", {})
    latest = (found.get("history") or [{}])[0]
    one = len(kubectl.all("deploy", f"modelward.dev/model={name}")) == 1
    return latest.get("modelVersion") == version and found.get("rollout") is None and one


@dataclass(slots=True)
class Closed(Plan):
    """Nothing of one namespace may be read or written."""

    namespace: str
    closed: bool = True

    def request(self, request: Request) -> Fault:
        """403, as long as it is closed."""
        return (
            refusal(403, "Forbidden") if self.closed and request.place.namespace == self.namespace else PASS
        )


@pytest.mark.integrations
def test_namespaces_come_and_go(
    cluster: Cluster, admin: Kubectl, credentials: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    """One of two that may not be read, is gone, and comes back: the other is served all the time."""
    guest = f"{kubectl.namespace}-guest"
    there = Kubectl(cluster, guest)
    plan = Closed(guest)
    flags = [*FLAGS, f"--namespace={kubectl.namespace}", f"--namespace={guest}"]
    with Proxy(credentials, tmp_path / "proxy", plan=plan) as proxy:
        operator = OperatorProcess(proxy.kubeconfig, tmp_path, *flags)
        operator.start()
        process = operator.pid
        try:
            kubectl.apply(fake_model("host"))
            wait_ready(kubectl, "host")
            assert f"of namespace {guest} are left out until they may be read" in operator.text()
            admin("create", "namespace", guest)
            there.apply(fake_model("guest"))
            plan.closed = False
            wait_ready(there, "guest")
            admin("delete", "namespace", guest, "--wait")
            until(lambda: operator.metric("modelward_model_info", namespace=guest) == 0, "it is forgotten")
            admin("create", "namespace", guest)
            there.apply(fake_model("guest"))
            wait_ready(there, "guest")
            kubectl.apply(fake_model("host", version="2"))
            wait_ready(kubectl, "host")
            assert operator.pid == process
            assert operator.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0
        finally:
            operator.stop()
            admin("delete", "namespace", guest, "--wait=false", "--ignore-not-found")
