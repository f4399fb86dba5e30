"""The CRDs as a whole: names, subresources, columns, files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelward.api.crd.definitions import HEADER, as_yaml, crd_manifests, dump, file_name
from modelward.api.reference import markdown

ROOT = Path(__file__).parents[3]
CRDS = {crd["spec"]["names"]["kind"]: crd for crd in crd_manifests()}
SIZE_LIMIT = 150_000
"""Bytes; `kubectl apply` keeps a copy in an annotation, of which 262,144 bytes is the limit."""


def version(kind: str) -> dict[str, Any]:
    """Return the only version of a kind's CRD."""
    (only,) = CRDS[kind]["spec"]["versions"]
    return dict(only)


def test_files_are_not_stale() -> None:
    """crds/ holds what the types say: run `make generate` if this fails."""
    assert {path.name for path in (ROOT / "crds").glob("*.yaml")} == {
        file_name(crd) for crd in crd_manifests()
    }
    for crd in crd_manifests():
        text = (ROOT / "crds" / file_name(crd)).read_text(encoding="utf-8")
        assert text == HEADER + as_yaml(crd), file_name(crd)


def test_the_reference_is_not_stale() -> None:
    """docs/reference/api.md holds what the types say: run `make generate` if this fails."""
    assert (ROOT / "docs/reference/api.md").read_text(encoding="utf-8") == markdown()


def test_files_are_small_enough_for_plain_apply(tmp_path: Path) -> None:
    """Client-side apply must work without --server-side."""
    for path in dump(tmp_path):
        assert path.stat().st_size < SIZE_LIMIT, path.name


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    """A generator that depended on the order of a set would make empty changes."""
    first = [path.read_bytes() for path in dump(tmp_path / "a")]
    assert first == [path.read_bytes() for path in dump(tmp_path / "b")]


def test_files_read_back_as_they_were() -> None:
    """The dumper writes no anchors and loses no string that looks like something else."""
    for crd in crd_manifests():
        text = as_yaml(crd)
        assert yaml.safe_load(text) == crd
        assert "&id" not in text


def test_names_and_scopes_are_the_contract() -> None:
    """Manifests and habits of users depend on these."""
    seen = {
        kind: (crd["metadata"]["name"], crd["spec"]["scope"], crd["spec"]["names"].get("shortNames"))
        for kind, crd in CRDS.items()
    }
    assert seen == {
        "ModelDeployment": ("modeldeployments.modelward.dev", "Namespaced", ["mwd"]),
        "ModelRuntime": ("modelruntimes.modelward.dev", "Namespaced", None),
        "ClusterModelRuntime": ("clustermodelruntimes.modelward.dev", "Cluster", None),
    }
    assert all(crd["spec"]["names"]["categories"] == ["modelward"] for crd in CRDS.values())


def test_both_runtimes_are_one_schema() -> None:
    """What is tried in a namespace can be offered to the whole cluster as it is."""
    specs = [
        version(kind)["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for kind in ("ModelRuntime", "ClusterModelRuntime")
    ]
    assert specs[0] == specs[1]


@pytest.mark.parametrize(
    ("wide", "names"),
    [
        pytest.param(
            False,
            ["Available", "Status", "Stable", "Canary", "Weight", "Age"],
            id="columns that are always shown",
        ),
        pytest.param(
            True, ["Ready", "Replicas", "Step", "URL", "Model", "Message"], id="columns with -o wide"
        ),
    ],
)
def test_columns(wide: bool, names: list[str]) -> None:  # noqa: FBT001 - a parametrized case
    """`kubectl get` answers: does it serve, what goes on, which revisions."""
    columns = version("ModelDeployment")["additionalPrinterColumns"]
    assert [column["name"] for column in columns if (column.get("priority", 0) == 1) == wide] == names
