"""What the workflows name is what the repository has."""

import re
from typing import Any

import yaml

from devcluster import versions
from supply import locks

GITHUB = locks.ROOT / ".github"


def read(path: str) -> Any:
    """A file below .github."""
    return yaml.safe_load((GITHUB / path).read_text(encoding="utf-8"))


def test_nightly_runs_every_version_of_kubernetes() -> None:
    """All that can be built; a commit is tested on the default."""
    matrix = read("workflows/nightly.yaml")["jobs"]["cluster"]["strategy"]["matrix"]
    assert matrix == {"kubernetes": versions.available()}
    assert read("actions/devcluster/action.yaml")["inputs"]["kubernetes"]["default"] == versions.DEFAULT


def test_nightly_leaves_nothing_out() -> None:
    """A program that is missing fails there, and one job that fails stops no other."""
    nightly = read("workflows/nightly.yaml")
    assert nightly["env"] == {"MODELWARD_REQUIRE_ALL": "1"}
    assert nightly["jobs"]["cluster"]["strategy"]["fail-fast"] is False
    assert not any("needs" in job for job in nightly["jobs"].values())


def test_every_target_that_a_workflow_makes_is_there() -> None:
    """A renamed target would be noticed only where the workflow runs."""
    makefile = (locks.ROOT / "Makefile").read_text(encoding="utf-8")
    there = set(re.findall(r"^([a-z0-9-]+):.*## ", makefile, re.MULTILINE))
    for path in sorted((GITHUB / "workflows").glob("*.yaml")):
        for command in re.findall(
            r"\bmake ((?: ?[a-z0-9-]+(?= |$))+)", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert set(command.split()) <= there, path.name
