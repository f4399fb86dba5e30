"""`manifests/install.yaml` and the overlays: what is in them, and what must not be."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from generate import install

MANIFESTS = Path(__file__).parents[2] / "manifests"
NAMESPACED = MANIFESTS / "overlays" / "namespaced"


def read(path: Path) -> list[dict[str, Any]]:
    """The objects of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def test_the_static_file_can_be_applied_from_top_to_bottom() -> None:
    """CRDs and the namespace come before what needs them; nothing is there twice."""
    objects = read(MANIFESTS / "install.yaml")
    kinds = [each["kind"] for each in objects]
    assert kinds[:4] == ["CustomResourceDefinition"] * 3 + ["Namespace"]
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)


def test_the_image_is_the_one_that_the_base_names() -> None:
    """What a machine or a registry of ours is called must not get into the file that people apply."""
    (kustomization,) = read(MANIFESTS / "base" / "kustomization.yaml")
    (image,) = kustomization["images"]
    (deployment,) = [each for each in read(MANIFESTS / "install.yaml") if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{image['newName']}:{image['newTag']}" == "modelward.local/modelward:dev"


def test_what_cannot_be_built_is_an_error(tmp_path: Path) -> None:
    """A patch that the static file left out would be noticed only in somebody's cluster."""
    (tmp_path / "kustomization.yaml").write_text("resources: []\npatches: []\n", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot build patches"):
        install.built(tmp_path)


def test_an_unknown_kind_is_an_error(tmp_path: Path) -> None:
    """Whether it has a namespace cannot be guessed."""
    (tmp_path / "kustomization.yaml").write_text(
        "namespace: system\nresources: [a.yaml]\nimages: []\n", encoding="utf-8"
    )
    (tmp_path / "a.yaml").write_text("kind: Gadget\nmetadata: {name: a}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="Gadget: say in"):
        install.built(tmp_path)


def test_served_namespaces_are_those_with_rights() -> None:
    """The two files of the overlay that name namespaces name the same ones."""
    (settings,) = read(NAMESPACED / "settings.yaml")
    bindings = read(NAMESPACED / "rights.yaml")
    assert [each["metadata"]["namespace"] for each in bindings] == settings["namespaces"]
    assert {each["kind"] for each in bindings} == {"RoleBinding"}


def test_the_namespaced_overlay_takes_the_cluster_wide_binding_away() -> None:
    """Outside of its namespaces the operator may read ClusterModelRuntimes, and nothing else."""
    (removed,) = read(NAMESPACED / "without-cluster-rights.yaml")
    (binding,) = read(MANIFESTS / "base" / "role-binding.yaml")
    role, _ = read(NAMESPACED / "cluster-runtimes.yaml")
    assert (removed["kind"], removed["metadata"]["name"]) == (binding["kind"], binding["metadata"]["name"])
    assert role["rules"] == [
        {
            "apiGroups": ["modelward.dev"],
            "resources": ["clustermodelruntimes"],
            "verbs": ["get", "list", "watch"],
        }
    ]
