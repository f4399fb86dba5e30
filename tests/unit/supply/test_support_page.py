"""What the page on support says was tested is what the tests are pinned to."""

import re
import tomllib

import yaml

from devcluster import versions
from supply import locks

PAGE = (locks.ROOT / "docs" / "support.md").read_text(encoding="utf-8")
BUILD = locks.ROOT / "tests" / "devcluster" / "gobuild"


def row(subject: str) -> list[str]:
    """Cells of the row of the first table that begins with it."""
    (line,) = re.findall(rf"^\| {re.escape(subject)} \|(.*)\|$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in line.split("|")]


def test_kubernetes_is_what_the_cluster_is_built_from() -> None:
    """The version in the table is that of go.mod, and the oldest that of the chart."""
    supported, tested, _ = row("Kubernetes")
    assert tested.startswith(f"{versions.release(versions.DEFAULT)}, ")
    chart = yaml.safe_load((locks.ROOT / "manifests/chart/Chart.yaml").read_text())
    assert f">={supported.split()[0]}.0-0" == chart["kubeVersion"]


def test_each_version_of_kubernetes_has_its_row() -> None:
    """All that can be built, with the release that is, and no other."""
    rows = re.findall(r"^\| (1\.\d+) \| (\S+) \|", PAGE, re.MULTILINE)
    assert rows == [(minor, versions.release(minor)) for minor in versions.available()]


def test_gateway_api_is_what_is_installed() -> None:
    """The CRDs of the tests."""
    (installed,) = re.findall(
        r"^require sigs\.k8s\.io/gateway-api v(\S+)$",
        (BUILD / "gateway-api/go.mod").read_text(),
        re.MULTILINE,
    )
    assert row("Gateway API (optional)")[1].startswith(f"{installed}, ")


def test_python_is_that_of_the_project_and_the_image() -> None:
    """The oldest is that of pyproject.toml and of Debian 12, the image's that of the Dockerfile; a workflow tries the others."""
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text())["project"]
    oldest, newest = row("Python, as a package")[0].split(" to ")
    assert project["requires-python"] == f">={oldest}"
    workflow = yaml.safe_load((locks.ROOT / ".github/workflows/ci.yaml").read_text())
    others = workflow["jobs"]["python"]["strategy"]["matrix"]["python"]
    assert workflow["jobs"]["test"]["container"]["image"].endswith("/debian:12")
    assert (oldest, others[-1]) == ("3.11", newest)
    assert f"python:{row('Python, in the image')[0]}-slim\n" in (locks.ROOT / "Dockerfile").read_text()
