"""The chart beside the other ways to install, and beside the files that it takes its contents from."""

import tarfile
import tomllib
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from generate import install
from generate.chart_package import pack
from support.chart import (
    CHART,
    LABELS,
    RELEASE,
    SYSTEM,
    Manifest,
    chart,
    notes,
    objects,
    rendered,
    title,
    without_labels,
)
from unit.chart.cases import CASES

ROOT: Final = Path(__file__).parents[3]
MANIFESTS: Final = ROOT / "manifests"
BASE: Final = MANIFESTS / "base"
KEEP: Final = {"helm.sh/resource-policy": "keep"}


def read(*paths: Path) -> dict[str, Manifest]:
    """The objects of some files."""
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return {
        title(each): each for text in texts for each in yaml.load_all(text, Loader=yaml.CSafeLoader) if each
    }


def by_title(objects: list[Manifest]) -> dict[str, Manifest]:
    """The same by what they are called, without the labels of a release."""
    assert len({title(each) for each in objects}) == len(objects), "one object twice"
    return {title(each): without_labels(each) for each in objects}


def test_the_defaults_are_the_base() -> None:
    """Object by object, less the namespace, which Helm does not make, and the CRDs, which the base has not."""
    base = {title(each): each for each in install.built(BASE)}
    del base["Namespace modelward-system"]
    named = by_title(rendered({"image": {"tag": "dev"}}))
    assert {name: each for name, each in named.items() if "CustomResource" not in name} == base


def test_the_crds_are_the_generated_ones() -> None:
    """But for labels, and for the word by which Helm leaves them when it uninstalls."""
    crds = [each for each in rendered() if each["kind"] == "CustomResourceDefinition"]
    assert [each["metadata"].pop("annotations") for each in _copies(crds)] == [KEEP] * 3
    assert {title(each): _bare(each) for each in crds} == {
        name: _bare(each) for name, each in read(*(ROOT / "crds").glob("*.yaml")).items()
    }


def test_rules_of_named_namespaces_are_those_of_the_base() -> None:
    """In a Role for each, less what has no namespace; ClusterModelRuntimes as in the overlay."""
    named = by_title(rendered(CASES["named-namespaces"]))
    rules = _copies(read(BASE / "role.yaml")["ClusterRole modelward"]["rules"])
    rules[0]["resources"].remove("clustermodelruntimes")
    for namespace in ("team-a", "team-b"):
        assert named[f"Role {namespace}/modelward"]["rules"] == rules
    for name, each in read(MANIFESTS / "overlays" / "namespaced" / "cluster-runtimes.yaml").items():
        assert named[name] == each


def test_no_gateway_is_one_rule_less() -> None:
    """The others stay as they are."""
    rules = read(BASE / "role.yaml")["ClusterRole modelward"]["rules"]
    less = by_title(rendered(CASES["no-gateway"]))["ClusterRole modelward"]["rules"]
    assert less == [each for each in rules if "gateway.networking.k8s.io" not in each["apiGroups"]]
    assert len(less) == len(rules) - 1


def test_the_policies_are_those_of_the_repository() -> None:
    """For the account and the namespace that the repository's name, too."""
    named = by_title(rendered(CASES["policies"]))
    kustomization = yaml.safe_load(
        (MANIFESTS / "policies" / "kustomization.yaml").read_text(encoding="utf-8")
    )
    for name, each in read(*(MANIFESTS / "policies" / file for file in kustomization["resources"])).items():
        assert named[name] == each


def test_the_policies_follow_the_account_and_the_namespace() -> None:
    """One that is about somebody else would confine nobody, or keep the operator from its own work."""
    values = {"policies": {"confinement": True, "snapshots": True}, "serviceAccount": {"name": "shared"}}
    named = by_title(rendered(values, namespace="ml"))
    snapshots = named["ValidatingAdmissionPolicy modelward-snapshots"]
    exempt = snapshots["spec"]["matchConditions"][0]["expression"]
    assert exempt == "request.userInfo.username != 'system:serviceaccount:ml:shared'"
    policy = named["ValidatingAdmissionPolicy modelward-confinement"]
    conditions = {each["name"]: each["expression"] for each in policy["spec"]["matchConditions"]}
    assert conditions["by-the-operator"].endswith("== 'system:serviceaccount:ml:shared'")
    assert conditions["no-lease-of-its-own-namespace"].endswith("== 'ml')")
    assert "modelward-system" not in str(policy)


@pytest.mark.parametrize("name", CASES)
def test_security_is_no_value(name: str) -> None:
    """Whatever the values: the operator's pods are what Pod Security `restricted` asks for."""
    named = by_title(rendered(CASES[name]))
    base = {title(each): each for each in install.built(BASE)}
    pods, expected = (
        side["Deployment modelward-system/modelward"]["spec"]["template"]["spec"] for side in (named, base)
    )
    assert pods["securityContext"] == expected["securityContext"]
    (container,) = pods["containers"]
    assert container["securityContext"] == expected["containers"][0]["securityContext"]


def test_everything_is_in_the_namespace_of_the_release() -> None:
    """What has a namespace is in that one, or in one that is served; subjects are the account there."""
    for each in rendered(CASES["named-namespaces"], namespace="ml"):
        assert each["metadata"].get("namespace", "ml") in {"ml", "team-a", "team-b"}
        assert [subject["namespace"] for subject in each.get("subjects", [])] in ([], ["ml"])
        assert each["metadata"]["labels"].keys() >= LABELS


def test_two_without_a_lease_are_refused() -> None:
    """Both would work."""
    values = {"settings": {"leaderElection": {"enabled": False}}}
    with pytest.raises(helm_python.HelmRenderError, match="set replicas to 1"):
        rendered(values)


def test_the_chart_has_the_version_of_the_project() -> None:
    """Chart and operator are released together."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert (chart().version, chart().metadata["appVersion"]) == (version, version)


def test_the_notes_show_what_is_left_to_do() -> None:
    """As long as it is."""
    assert "rollout status -n modelward-system deployment/modelward" in notes()
    for advice, values in (
        ("in no registry", CASES["image-by-digest"]),
        ("not confined", CASES["policies"]),
        ("set policies.serviceAccounts", CASES["policies"]),
        ("set policies.snapshots", CASES["policies"]),
    ):
        assert advice in notes()
        assert advice not in notes(values)
    assert "for the namespaces team-a, team-b." in notes(CASES["named-namespaces"])


@pytest.mark.parametrize("name", ["settings", "named-namespaces", "policies", "metric-source"])
def test_lint_finds_nothing(name: str) -> None:
    """Warnings count; information (there is no icon) does not."""
    report = helm_python.lint(CHART, CASES[name], strict=True)
    assert [each for each in report["messages"] if each["severity"] > 1] == []
    assert report["errors"] == []


def test_a_package_has_the_files_themselves(tmp_path: Path) -> None:
    """Where the repository has links, so that a package needs no repository; what it renders is the same."""
    archive = pack(tmp_path / "dist")
    with tarfile.open(archive) as packed:
        assert [each.name for each in packed if not each.isfile()] == []
    packaged = helm_python.Chart.load(archive)
    files = {each["name"] for each in packaged.files}
    assert {f"files/crds/{path.name}" for path in (ROOT / "crds").iterdir()} <= files
    texts = packaged.render(CASES["policies"], name=RELEASE, namespace=SYSTEM)
    assert objects(texts) == rendered(CASES["policies"])


@pytest.mark.parametrize("lost", ["crds/modelward.dev_modeldeployments.yaml", "role.yaml", "user-roles.yaml"])
def test_a_copy_without_links_is_refused(tmp_path: Path, lost: str) -> None:
    """A checkout that cannot make links has files with a path in them: without a word that would be no rights, no CRD."""
    helm_python.expand(tmp_path, pack(tmp_path))
    (tmp_path / "modelward" / "files" / lost).write_text(f"../../{lost}", encoding="utf-8")
    with pytest.raises(helm_python.HelmRenderError, match="has lost its symbolic links"):
        helm_python.Chart.load(tmp_path / "modelward").render(name=RELEASE, namespace=SYSTEM)


def _copies(objects: list[Manifest]) -> list[Manifest]:
    copies: list[Manifest] = yaml.load(yaml.safe_dump(objects), Loader=yaml.CSafeLoader)
    return copies


def _bare(crd: Manifest) -> dict[str, Any]:
    return {"name": crd["metadata"]["name"], "spec": crd["spec"]}
