"""The commands of docs/install.md: the folders and files that they name are there, and their values are values."""

import re
from typing import Final

import pytest

from support.chart import CHART, rendered
from support.install_page import PAGE, ROOT, Command, commands, helm_values, options

HELM: Final = [("helm", *each) for each in commands("helm")]
OWN_FILES: Final = {"-", "modelward-metric-source.yaml"}
"""What the reader has written: the page shows its content."""


def test_it_shows_helm_and_kubectl() -> None:
    """Or the tests below would be about nothing."""
    assert {each[1] for each in HELM} == {"install", "upgrade"}
    assert len(commands("kubectl")) > len(HELM)


@pytest.mark.parametrize("command", HELM, ids=" ".join)
def test_a_helm_command_is_about_this_chart(command: Command) -> None:
    """By the release's name and namespace of the page; its values are allowed, and change what it says."""
    assert command[2:4] == ("modelward", "manifests/chart")
    assert ROOT / command[3] == CHART
    assert options(command, "--namespace") == ["modelward-system"]
    values = helm_values(command)
    assert rendered(values) != rendered()


@pytest.mark.parametrize("command", dict.fromkeys(commands("kubectl")), ids=" ".join)
def test_what_a_kubectl_command_names_is_there(command: Command) -> None:
    """Folders of kustomize, files, and nothing that only a machine of ours has."""
    for path in options(command, "-k"):
        assert path == "..." or (ROOT / path / "kustomization.yaml").exists()
    for path in options(command, "-f"):
        assert path in OWN_FILES or (ROOT / path).exists()


def test_the_static_file_has_the_image_that_the_page_replaces() -> None:
    """Or `sed` would replace nothing, and the cluster would look for an image that is in no registry."""
    (line,) = [each for each in PAGE.read_text(encoding="utf-8").splitlines() if each.startswith("    sed ")]
    found = re.search(r"s\|([^|]+)\|([^|]+)\|", line)
    assert found
    assert f"image: {found[1]}\n" in (ROOT / "manifests" / "install.yaml").read_text(encoding="utf-8")
