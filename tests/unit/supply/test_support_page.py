"""What the page on support says was tested is what the tests are pinned to."""

import re
import tomllib

import yaml

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
    (built,) = re.findall(r"^\tk8s\.io/kubernetes v(\S+)$", (BUILD / "go.mod").read_text(), re.MULTILINE)
    assert tested.startswith(f"{built}, ")
    chart = yaml.safe_load((locks.ROOT / "manifests/chart/Chart.yaml").read_text())
    assert f">={supported.split()[0]}.0-0" == chart["kubeVersion"]


def test_gateway_api_is_what_is_installed() -> None:
    """The CRDs of the tests."""
    (installed,) = re.findall(
        r"^require sigs\.k8s\.io/gateway-api v(\S+)$",
        (BUILD / "gateway-api/go.mod").read_text(),
        re.MULTILINE,
    )
    assert row("Gateway API (optional)")[1].startswith(f"{installed}, ")


def test_python_is_that_of_the_project_and_the_image() -> None:
    """The oldest is that of pyproject.toml, the image's that of the Dockerfile, and the workflow tries each."""
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text())["project"]
    oldest, newest = row("Python, as a package")[0].split(" to ")
    assert project["requires-python"] == f">={oldest}"
    workflow = yaml.safe_load((locks.ROOT / ".github/workflows/ci.yaml").read_text())
    versions = workflow["jobs"]["check"]["strategy"]["matrix"]["python"]
    assert (versions[0], versions[-1]) == (oldest, newest)
    assert f"python:{row('Python, in the image')[0]}-slim\n" in (locks.ROOT / "Dockerfile").read_text()
