"""Install, upgrade, uninstall by Helm for a whole cluster that has nothing of ours yet: CRDs and models outlive it all.

A cluster of its own, without nodes: what is asked here is what Helm does to objects. Operators that it starts are in
tests/e2e/test_chart_in_cluster.py.
"""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import helm_python
import pytest

from devcluster import Cluster, ensure_up
from support.chart import CHART, RELEASE, SYSTEM, chart, helm
from support.kubectl import Kubectl
from support.models import KIND, fake_model

CRD: Final = "modeldeployments.modelward.dev"
KINDS: Final = "clusterrole,clusterrolebinding,crd,priorityclass,validatingadmissionpolicy"
"""Of the kinds that have no namespace, those that the chart has objects of."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One without nodes and without anything of ours."""
    cluster = ensure_up(f"helm-{secrets.token_hex(2)}", node=False)
    try:
        yield cluster
    finally:
        cluster.down(wipe=True)


@pytest.fixture(scope="module")
def admin(cluster: Cluster) -> Kubectl:
    """Kubectl with the administrator's rights there."""
    return Kubectl(cluster)


@pytest.fixture(scope="module")
def untouched(admin: Kubectl) -> set[str]:
    """What the cluster has without us."""
    return whole_cluster(admin)


@pytest.fixture(scope="module")
def release(cluster: Cluster, untouched: set[str]) -> Iterator[helm_python.Config]:
    """Helm, in a namespace that it may make."""
    with helm(cluster, SYSTEM) as config:
        yield config


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart of a version before this, whose models have no columns in `kubectl get`."""
    directory = tmp_path_factory.mktemp("older")
    helm_python.expand(directory, helm_python.package(CHART, destination=directory, version="0.0.9"))
    file = directory / "modelward" / "files" / "crds" / "modelward.dev_modeldeployments.yaml"
    text = file.read_text(encoding="utf-8")
    changed = re.sub(r"    additionalPrinterColumns:\n(    [- ].*\n)*", "", text)
    assert len(changed) < len(text)
    file.write_text(changed, encoding="utf-8")
    return directory / "modelward"


def whole_cluster(admin: Kubectl) -> set[str]:
    """Kinds and names of what has no namespace."""
    return set(admin("get", KINDS, "-o", "name").split())


def columns(admin: Kubectl) -> str:
    """The columns of models in `kubectl get`."""
    return admin("get", "crd", CRD, "-o", "jsonpath={.spec.versions[0].additionalPrinterColumns[*].name}")


class Who:
    """The identity of the CRD and of a model."""

    def __init__(self, admin: Kubectl) -> None:
        """Remember who they are."""
        self._admin = admin
        self._before = self._now()

    def same(self) -> bool:
        """Whether they still are."""
        return self._now() == self._before

    def _now(self) -> list[str]:
        found = self._admin.get("crd", CRD), self._admin.get(KIND, "model")
        return [each["metadata"]["uid"] if each else "nobody" for each in found]


@pytest.fixture
def who(admin: Kubectl) -> Who:
    """Shows whether the CRD and a model are still the same."""
    return Who(admin)


def test_an_older_chart_is_installed(release: helm_python.Config, older: Path, admin: Kubectl) -> None:
    """With its CRDs, so that a model can be written at once."""
    release.install(older, RELEASE, {"replicas": 0}, create_namespace=True)
    admin("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=60s")
    admin.apply(fake_model("model"))
    assert columns(admin) == ""


def test_an_upgrade_brings_the_new_crds(release: helm_python.Config, admin: Kubectl, who: Who) -> None:
    """With the same command as the operator; models stay."""
    release.upgrade(chart(), RELEASE, {"replicas": 0})
    assert columns(admin).startswith("Available Status")
    assert who.same()


def test_a_rollback_brings_the_old_ones_back(release: helm_python.Config, admin: Kubectl, who: Who) -> None:
    """And another upgrade the new ones."""
    release.rollback(RELEASE)
    assert columns(admin) == ""
    release.upgrade(chart(), RELEASE, {"replicas": 0})
    assert columns(admin) != ""
    assert who.same()


def test_crds_stay_when_they_are_switched_off(release: helm_python.Config, who: Who) -> None:
    """And Helm has them again when they are switched on."""
    release.upgrade(chart(), RELEASE, {"replicas": 0, "crds": {"install": False}})
    assert who.same()
    policies = {"serviceAccounts": True, "confinement": True, "snapshots": True}
    release.upgrade(chart(), RELEASE, {"replicas": 0, "policies": policies})
    assert who.same()


def test_uninstalling_leaves_crds_and_models(
    release: helm_python.Config, untouched: set[str], admin: Kubectl, who: Who
) -> None:
    """And nothing else for the whole cluster."""
    release.uninstall(RELEASE)
    assert {each.partition("/")[0].partition(".")[0] for each in whole_cluster(admin) - untouched} == {
        "customresourcedefinition"
    }
    assert who.same()


def test_it_is_installed_again_over_what_was_left(release: helm_python.Config, who: Who) -> None:
    """Under the name and in the namespace that it had: Helm knows its CRDs by these."""
    release.install(chart(), RELEASE, {"replicas": 0})
    assert who.same()
    with pytest.raises(helm_python.HelmReleaseError, match="cannot be imported"):
        release.install(chart(), "another", {"replicas": 0})
