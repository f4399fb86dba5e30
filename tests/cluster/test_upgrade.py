"""From the release before to this one and back, with a rollout in every state. Real API server; pods are kwok's."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pytest
import yaml

from conftest import ROOT
from devcluster import Cluster
from devcluster.gateway import install_crds
from devcluster.progress import silence
from modelward.api.names import REVISION_LABEL
from modelward.rollout.phases import Phase
from support import audit
from support.kubectl import Kubectl
from support.models import KIND, children, fake_model, wait_quiet, wait_ready
from support.operator import OperatorProcess
from support.states import (
    CASES,
    HITS,
    ROUTE,
    SOURCE,
    TOTAL,
    Case,
    gate,
    leave,
    named_today,
    own_route,
    reach,
    statuses,
    wait_states,
    weights,
)
from support.still_metrics import counters, still_metrics
from support.terms import Account, account
from support.versions import Operators, Version, present, previous
from support.waiting import until

pytestmark = pytest.mark.slow

LEASE_RIGHTS: Final = ROOT / "manifests" / "base" / "leader-election.yaml"
LEASE: Final = {"leaseSeconds": 4, "renewDeadlineSeconds": 3.0, "retrySeconds": 0.5}
CHILDREN: Final = (
    "pods",
    "replicasets",
    "deployments",
    "services",
    "hpa",
    "pdb",
    "controllerrevisions",
    "httproutes",
)
OF_STATUS: Final = (
    "stableRevision",
    "canaryRevision",
    "previousRevision",
    "revisionNonce",
    "rejectedRevisions",
    "history",
    "commands",
    "scaling",
)
OF_ROLLOUT: Final = (
    "state",
    "step",
    "weightPercent",
    "startTime",
    "stepStartTime",
    "approvals",
    "sharedReplicas",
)
DRAINING: Final = "draining"
"""A model whose rollout goes on by itself while versions change."""
MEASURED: Final = frozenset({"inconclusive", "unmeasured"})
"""What is known of these canaries is written down four times a minute."""
ROUTED: Final = next(case for case in CASES if case.name == ROUTE)
CRD: Final = "modeldeployments.modelward.dev"
UNDER_THE_OLD: Final = frozenset({"analyzing", "paused"})
"""Canaries that go on after the way back."""


@dataclass(frozen=True, slots=True)
class World:
    """All that an upgrade must leave alone."""

    objects: Mapping[tuple[str, str], str]
    """uid by kind and name."""
    remembered: Mapping[str, Any]
    """What the status of each model says of its revisions and its rollout."""

    @classmethod
    def seen(cls, kubectl: Kubectl) -> Self:
        """As it is now, but for the model that goes on by itself."""
        objects = {
            (each["kind"], each["metadata"]["name"]): each["metadata"]["uid"]
            for each in kubectl.all(",".join((*CHILDREN, KIND)))
            if not each["metadata"]["name"].startswith(DRAINING)
            and "deletionTimestamp" not in each["metadata"]  # it goes whoever leads
        }
        remembered = {
            name: {key: found.get(key) for key in OF_STATUS}
            | {key: (found.get("rollout") or {}).get(key) for key in OF_ROLLOUT}
            | {"state": named_today((found.get("rollout") or {}).get("state", ""))}
            for name, found in statuses(kubectl).items()
            if name != DRAINING
        }
        return cls(objects, remembered)

    def since(self, before: "World") -> list[str]:
        """What is another, one line each."""
        mine, theirs = set(self.objects.items()), set(before.objects.items())
        objects = [f"{'gone' if each in theirs else 'new'}: {each}" for each in sorted(mine ^ theirs)]
        remembered = [
            f"{name}: {key} was {was!r}, is {is_!r}"
            for name in sorted({*self.remembered, *before.remembered})
            for key in (*OF_STATUS, *OF_ROLLOUT)
            if (was := before.remembered.get(name, {}).get(key))
            != (is_ := self.remembered.get(name, {}).get(key))
        ]
        return objects + remembered

    def without(self, names: frozenset[str]) -> "World":
        """The same without models that have gone on."""
        objects = {place: uid for place, uid in self.objects.items() if place[1].split("-")[0] not in names}
        return World(objects, {name: each for name, each in self.remembered.items() if name not in names})

    def pods(self, model: str, revision: str) -> set[str]:
        """uids of the pods of a revision."""
        prefix = f"{model}-{revision}-"
        return {
            uid for (kind, name), uid in self.objects.items() if kind == "Pod" and name.startswith(prefix)
        }


@dataclass(slots=True)
class Setting:
    """Two versions, and a namespace with one operator of either."""

    cluster: Cluster
    admin: Kubectl
    kubectl: Kubectl
    operators: Operators
    old: Version
    new: Version

    def upgraded(self, version: Version, *, but: frozenset[str] = frozenset()) -> Counter[str]:
        """What is written when that version takes over, and how often, of models about which there is nothing new.

        Since a rollout of another model began: what the version before wrote late is in it.
        """
        since = time.time()
        self.operators.hand_over(version)
        found = self._account(since)
        assert [str(each) for each in found.landed_out_of_turn()] == []
        going = {DRAINING, *MEASURED, *but}
        return Counter(
            f"{each.verb} {each.resource} {each.name}"
            for each in found.writes
            if each.accepted and re.split("[-.]", each.name)[0] not in going  # an Event: model.number
        )

    def _account(self, since: float) -> Account:
        audit.wait_written(self.cluster)
        return account(self.cluster.audit_log, (self.kubectl.namespace, "modelward"), since=since)

    def drain(self, version: str) -> None:
        """Begin a rollout that ends by itself, and wait until it is nearly over."""
        self.kubectl.apply(fake_model(DRAINING, version=version))
        wait_states(self.kubectl, {DRAINING: ("Draining", None)})

    def template(self, revision: str) -> dict[str, Any]:
        """What the pods of that revision of the same model are made from."""
        found = self.kubectl.get("deployment", f"{DRAINING}-{revision}")
        assert found is not None
        return dict(found["spec"]["template"])

    def bring_back(self, revision: str) -> None:
        """Have that model go back to a revision, and wait until it serves."""
        self.kubectl("annotate", "--overwrite", KIND, DRAINING, f"modelward.dev/rollback={revision}")
        until(lambda: statuses(self.kubectl)[DRAINING]["stableRevision"] == revision, "it serves again")


@pytest.fixture
def setting(
    cluster: Cluster, admin: Kubectl, kubectl: Kubectl, credentials: Path, tmp_path: Path
) -> Iterator[Setting]:
    """The version before leads, and all models are in their states."""
    old, new = previous(tmp_path / "old"), present()
    if cluster.gateway is None:
        install_crds(cluster.directory, cluster.binaries, silence)
    namespace, settings = kubectl.namespace, tmp_path / "settings.yaml"
    flags = (f"--settings={settings}", f"--namespace={namespace}", f"--lease-namespace={namespace}")
    with still_metrics() as metrics, Operators(credentials, tmp_path, flags) as operators:
        sources = [{"name": SOURCE, "url": metrics.url, "delaySeconds": 0}]
        settings.write_text(yaml.safe_dump({"leaderElection": LEASE, "metrics": {"sources": sources}}))
        found = Setting(cluster, admin, kubectl, operators, old, new)
        old.install(admin)
        kubectl("apply", "-f", str(LEASE_RIGHTS))
        operators.hand_over(old)
        kubectl.apply(fake_model(DRAINING))

        def measured() -> None:
            metrics.series += counters(children(kubectl, "pods", "inconclusive"), HITS, TOTAL)

        try:
            reach(kubectl, CASES, measured)
            yield found
        finally:
            gate(kubectl, *(case.name for case in CASES), opened=False)
            new.install(admin)


def left(kubectl: Kubectl, cases: list[Case], before: World) -> None:
    """Bring rollouts to their end: each ends as it should, with the pods that it had."""
    leave(kubectl, cases)
    for case in cases:
        was = before.remembered[case.name]
        new = 1 if case.leave and not case.state.startswith("Watching") and case.state != "RollingBack" else 0

        def ended(case: Case = case, entries: int = len(was["history"] or ()) + new) -> dict[str, Any]:
            now = statuses(kubectl)[case.name]
            over = len(now.get("history", ())) == entries and not now.get("rollout")
            return now if over else {}

        now = until(ended, f"{case.name} ends; {statuses(kubectl)[case.name]}")
        assert now["history"][new:] == (was["history"] or []), case.name
        assert now["history"][0]["result"] == case.ends, case.name
        serving = now["stableRevision"]
        pods = {each["metadata"]["uid"] for each in children(kubectl, "pods", case.name)}
        assert pods >= before.pods(case.name, serving), f"{case.name}: pods of {serving} were replaced"


def test_all_states_are_tried() -> None:
    """Those of the table of phases."""
    assert {case.state or "Serving" for case in CASES} | {"Draining"} == {str(phase) for phase in Phase}


def test_an_upgrade_with_a_rollout_in_every_state(setting: Setting) -> None:
    """One way: no pod and no object is replaced, nothing is forgotten, next to nothing is written; rollouts go on."""
    kubectl, new = setting.kubectl, setting.new
    before = World.seen(kubectl)
    setting.drain("2")
    new.install(setting.admin)
    assert not_notes(setting.upgraded(new)) == set()
    assert World.seen(kubectl).since(before) == []
    left(kubectl, [case for case in CASES if case.name in UNDER_THE_OLD], before)


@pytest.mark.integrations
def test_there_and_back_with_a_rollout_in_every_state(setting: Setting) -> None:
    """No pod and no object is replaced, nothing is forgotten, next to nothing is written; then all rollouts go on."""
    kubectl, old, new = setting.kubectl, setting.old, setting.new
    before = World.seen(kubectl)
    oldest = setting.template(statuses(kubectl)[DRAINING]["stableRevision"])

    setting.drain("2")
    new.install(setting.admin)
    assert not_notes(setting.upgraded(new)) == set()
    assert World.seen(kubectl).since(before) == []

    setting.drain("3")
    assert not_notes(setting.upgraded(old)) == set()
    old.install(setting.admin)
    assert World.seen(kubectl).since(before) == []
    left(kubectl, [case for case in CASES if case.name in UNDER_THE_OLD], before)

    setting.drain("4")
    new.install_rights(setting.admin)
    assert not_notes(setting.upgraded(new, but=UNDER_THE_OLD)) == set(), "the CRDs are the old ones"
    assert World.seen(kubectl).without(UNDER_THE_OLD).since(before.without(UNDER_THE_OLD)) == []
    new.install_crds(setting.admin)
    left(kubectl, [case for case in CASES if case.name not in UNDER_THE_OLD], before)
    assert weights(kubectl) == [100, 0]
    assert [entry["modelVersion"] for entry in wait_quiet(kubectl, DRAINING)["history"]] == [
        "4",
        "3",
        "2",
        "1",
    ]
    setting.bring_back(oldest["metadata"]["labels"][REVISION_LABEL])
    assert setting.template(wait_quiet(kubectl, DRAINING)["stableRevision"]) == oldest, (
        "rendered by the old one"
    )


def not_notes(writes: Counter[str]) -> set[str]:
    """Writes other than of a verdict on a snapshot, which the version before did not note, of autoscalers, and of texts.

    Autoscalers of the version before measure whole pods, sidecars included. A status whose texts alone are new is
    written seconds later, maybe while the next version takes over already, which then writes its own: twice at most.
    That nothing but texts is new in it is for `World` to say.
    """
    expected = ("patch controllerrevisions", "patch horizontalpodautoscalers")
    texts = "patch modeldeployments/status"
    return {
        each
        for each, times in writes.items()
        if not each.startswith(expected) and not (each.startswith(texts) and times <= 2)
    }


def test_uninstalled_in_the_wrong_order_and_installed_again(
    admin: Kubectl, kubectl: Kubectl, lone: OperatorProcess
) -> None:
    """Without the operator models go on serving. CRDs deleted then wait for it to put the user's route back."""
    before = World.seen(kubectl)
    assert lone.stop() == 0
    assert World.seen(kubectl).since(before) == []

    admin("delete", "-f", str(ROOT / "crds"), "--wait=false")
    until(lambda: not children(kubectl, "pods", "plain"), "the pods of a deleted model go")
    assert set(statuses(kubectl)) == {ROUTE}, "its finalizer holds it"
    assert weights(kubectl) == [66, 34]
    lone.launch()
    until(lambda: "are the CRDs installed" in lone.text(), "it says what it misses")

    present().install_crds(admin)
    until(lambda: weights(kubectl) == [100, 0], "the route is put back")
    until(lambda: not children(kubectl, "pods", ROUTE), "the pods of the other model go, too")
    until(lambda: CRD not in admin("get", "crd", "-o", "name"), "the CRD goes")

    present().install_crds(admin)
    kubectl.apply(fake_model("plain"))
    wait_ready(kubectl, "plain")
    assert lone.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0


def test_f26_models_of_the_same_names_right_after_their_kind_was_gone(
    admin: Kubectl, kubectl: Kubectl, lone: OperatorProcess
) -> None:
    """What those before them left is a name conflict until the garbage collector has taken it, and no longer."""
    former = {each["metadata"]["uid"] for each in kubectl.all(KIND)}
    assert len(former) == 2
    admin("delete", "-f", str(ROOT / "crds"), "--timeout=60s")
    present().install_crds(admin)
    kubectl.apply(ROUTED.manifest("1"), fake_model("plain", replicas=2))
    for name in (ROUTE, "plain"):
        wait_ready(kubectl, name)
    assert weights(kubectl) == [100, 0]
    until(lambda: not owners(kubectl) & former, "nothing of the former models is left")
    assert owners(kubectl) == {each["metadata"]["uid"] for each in kubectl.all(KIND)}
    assert lone.metric("modelward_reconcile_errors_total", reason="Unexpected") == 0


def owners(kubectl: Kubectl) -> set[str]:
    """uids of the models that own what is there."""
    references = (
        reference
        for each in remains(kubectl)
        for reference in each["metadata"].get("ownerReferences", ())
        if reference["kind"] == "ModelDeployment"
    )
    return {reference["uid"] for reference in references}


def test_uninstalled_in_the_right_order(admin: Kubectl, kubectl: Kubectl, lone: OperatorProcess) -> None:
    """Models first, while the operator is there: nothing waits for anything, and nothing of ours is left."""
    kubectl("delete", KIND, "--all", "--timeout=60s")
    assert weights(kubectl) == [100, 0]
    assert lone.stop() == 0
    admin("delete", "-f", str(ROOT / "crds"), "--timeout=60s")
    until(lambda: not remains(kubectl), "all children go")


def remains(kubectl: Kubectl) -> list[dict[str, Any]]:
    """What is left of models."""
    kinds = ("pods", "replicasets", "deployments", "services", "hpa", "pdb", "controllerrevisions")
    return kubectl.all(",".join(kinds), "app.kubernetes.io/managed-by=modelward")


@pytest.fixture
def lone(
    cluster: Cluster, admin: Kubectl, kubectl: Kubectl, credentials: Path, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """One operator, a model that serves, and another one in mid-canary with a route of the user's."""
    if cluster.gateway is None:
        install_crds(cluster.directory, cluster.binaries, silence)
    release(admin)  # also what other tests have left: a CRD is gone when the last model is
    kubectl("delete", KIND, "--all", "--timeout=60s")
    # F26: what a model of the same name has left is a name conflict, for as long as the garbage collector needs.
    until(lambda: not remains(kubectl), "the garbage collector has taken all children")
    kubectl("apply", "-f", str(LEASE_RIGHTS))
    scope = (f"--namespace={kubectl.namespace}", f"--lease-namespace={kubectl.namespace}")
    process = OperatorProcess(credentials, tmp_path, *scope)
    process.start()
    try:
        kubectl.apply(own_route(), ROUTED.manifest("1"), fake_model("plain", replicas=2))
        for name in (ROUTE, "plain"):
            wait_ready(kubectl, name)
        kubectl.apply(ROUTED.manifest("2"))
        wait_states(kubectl, {ROUTE: ("Analyzing", 34)})
        yield process
    finally:
        process.stop()
        release(admin)
        present().install_crds(admin)


def release(admin: Kubectl) -> None:
    """Let models go whose operator is not there any more, and wait for a CRD that waits for them."""
    if CRD not in admin("get", "crd", "-o", "name"):
        return
    held = json.loads(admin("get", KIND, "--all-namespaces", "-o", "json"))["items"]
    for metadata in (each["metadata"] for each in held if each["metadata"].get("finalizers")):
        change = '{"metadata": {"finalizers": null}}'
        place = (KIND, metadata["name"], f"--namespace={metadata['namespace']}")
        admin("patch", *place, "--type=merge", "-p", change)
    found = admin.get("crd", CRD)
    if found and "deletionTimestamp" in found["metadata"]:
        admin("wait", "--for=delete", f"crd/{CRD}", "--timeout=60s")
