"""What the documentation shows is true: manifests are accepted, links lead somewhere, targets exist."""

import re
from pathlib import Path

import pytest

from devcluster import Cluster
from support.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_TARGET = re.compile(r"(?:`|^ {4}|^)make ([a-z][a-z-]+)", re.MULTILINE)
"""A command: in code, or at the beginning of a line."""

MANIFESTS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, block in enumerate(_BLOCK.findall(page.read_text(encoding="utf-8")))
    if "apiVersion:" in block
]


@pytest.mark.parametrize("manifest", MANIFESTS)
def test_manifests_are_accepted(kubectl: Kubectl, manifest: str) -> None:
    """The API server accepts every whole manifest that the documentation shows."""
    assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)


@pytest.mark.parametrize(
    "sample", sorted((ROOT / "manifests" / "samples").glob("*.yaml")), ids=lambda path: path.name
)
def test_samples_are_accepted(kubectl: Kubectl, sample: Path) -> None:
    """The API server accepts every sample."""
    assert "(server dry run)" in kubectl("apply", "--dry-run=server", "-f", str(sample))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file."""
    prose = _CODE.sub("", page.read_text(encoding="utf-8"))
    missing = [link for link in _LINK.findall(prose) if not (page.parent / link).exists()]
    assert missing == []


def test_make_targets_exist() -> None:
    """Every `make` target that the documentation names is in the Makefile."""
    named = {target for page in PAGES for target in _TARGET.findall(page.read_text(encoding="utf-8"))}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_kustomize_base_is_accepted(cluster: Cluster) -> None:
    """The operator's manifests build and are accepted as they are shipped."""
    kubectl = Kubectl(cluster, "modelward-system")
    assert "deployment.apps/modelward" in kubectl(
        "apply", "--dry-run=server", "-k", str(ROOT / "manifests" / "base")
    )
