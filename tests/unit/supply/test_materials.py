"""The bill of materials names exactly what is pinned, and nothing that we may not ship is in it."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from devcluster.images.recipes import PYTHON_BASE
from supply import __main__ as command
from supply import licences, locks, materials
from supply.image import DebianPackage
from supply.locks import Pin

BASE = "docker.io/library/python:3.13-slim@sha256:" + "1" * 64
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def text() -> str:
    """The bill of what is pinned now."""
    return materials.bill(locks.of_image(), BASE, WRITTEN)


@pytest.fixture(scope="module")
def bill(text: str) -> dict[str, Any]:
    """The same, decoded."""
    decoded: dict[str, Any] = json.loads(text)
    return decoded


def test_bill_follows_the_schema(text: str) -> None:
    """Of CycloneDX 1.6, read strictly; a bill with a word too many does not."""
    assert materials.schema_errors(text) is None
    assert materials.schema_errors(text.replace('"purl"', '"pearl"')) is not None


def test_bill_names_each_pin_and_nothing_else(bill: dict[str, Any]) -> None:
    """With its version, address in the index, and the digest of each file that pip accepts."""
    named = {
        each["name"]: (each["version"], each["purl"], sorted(digest["content"] for digest in each["hashes"]))
        for each in bill["components"]
        if each["type"] == "library"
    }
    assert named == {
        pin.name: (pin.version, f"pkg:pypi/{pin.name}@{pin.version}", sorted(pin.sha256))
        for pin in locks.read(locks.RUNTIME)
    }


def test_bill_has_the_licence_of_each_package(bill: dict[str, Any]) -> None:
    """As SPDX expressions."""
    without = [
        each["name"] for each in bill["components"] if each["type"] == "library" and not each["licenses"]
    ]
    assert without == []
    (certificates,) = (each for each in bill["components"] if each["name"] == "certifi")
    assert [licence["expression"] for licence in certificates["licenses"]] == ["MPL-2.0"]


def test_bill_names_the_base_by_digest(bill: dict[str, Any]) -> None:
    """The image that Python is copied from is a part like the others."""
    (base,) = (each for each in bill["components"] if each["type"] == "container")
    assert (base["name"], base["version"]) == ("docker.io/library/python", "sha256:" + "1" * 64)
    assert base["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]


def test_bill_says_who_needs_whom(bill: dict[str, Any]) -> None:
    """The operator needs what pyproject.toml says and the base; every package is needed by something."""
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in bill["dependencies"]}
    project = tomllib.loads((locks.ROOT / "pyproject.toml").read_text())["project"]
    direct = {Requirement(each).name for each in project["dependencies"]}
    named = {
        reference.removeprefix("pkg:pypi/").partition("@")[0]
        for reference in needs["modelward@0.1.0"] - {BASE}
    }
    assert named == direct
    assert BASE in needs["modelward@0.1.0"]
    needed = set().union(*needs.values())
    assert {each["bom-ref"] for each in bill["components"]} == needed


def test_bill_names_the_debian_packages_of_an_image() -> None:
    """Where there is an image to look into, below the base."""
    package = DebianPackage(name="libc6", version="2.41-12", architecture="amd64")
    text = materials.bill(locks.of_image(), BASE, WRITTEN, [package])
    assert materials.schema_errors(text) is None
    reference = "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=debian"
    decoded = json.loads(text)
    assert reference in {each.get("purl") for each in decoded["components"]}
    assert {"ref": BASE, "dependsOn": [reference]} in decoded["dependencies"]


def test_same_input_gives_the_same_bytes(text: str) -> None:
    """Serial number included; another base is another bill."""
    assert materials.bill(locks.of_image(), BASE, WRITTEN) == text
    other = json.loads(materials.bill(locks.of_image(), PYTHON_BASE, WRITTEN))
    assert other["serialNumber"] != json.loads(text)["serialNumber"]


def test_base_is_that_of_the_dockerfile() -> None:
    """What the bill names by default is what the image is built in by default."""
    assert f"ARG PYTHON_IMAGE={command.BASE}\n" in (locks.ROOT / "Dockerfile").read_text()


def test_command_writes_the_bill(tmp_path: Path) -> None:
    """Into the folder, under a name with the version."""
    done = CliRunner().invoke(
        command.main, ["sbom", f"--folder={tmp_path}"], env={"SOURCE_DATE_EPOCH": "1767225600"}
    )
    assert done.exit_code == 0
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["metadata"]["timestamp"] == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize("lock", [locks.RUNTIME, locks.FETCH], ids=lambda path: path.name)
def test_no_licence_binds_us(lock: Path) -> None:
    """Everything in the images is under a licence that we chose to accept."""
    assert licences.not_allowed(locks.of_image(lock)) == []


def test_what_fetches_is_not_in_the_operators_image() -> None:
    """Its lock file is another one, of the same versions where both have a package."""
    operator = {pin.name: pin.version for pin in locks.of_image()}
    fetch = {pin.name: pin.version for pin in locks.of_image(locks.FETCH)}
    assert not {"obstore", "huggingface-hub", "httpcore2"} & set(operator)
    assert {name: version for name, version in fetch.items() if name in operator}.items() <= operator.items()


def test_copyleft_and_silence_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package under the GPL and one without a licence are named."""
    pins: dict[str, Pin] = {pin.name: pin for pin in locks.of_image()}
    stated = {"kopf": "MIT AND GPL-3.0-only", "attrs": None}
    monkeypatch.setattr(licences, "licence", lambda pin: stated[pin.name])
    assert licences.not_allowed([pins["kopf"], pins["attrs"]]) == [
        f"kopf {pins['kopf'].version} is under GPL-3.0-only",
        f"attrs {pins['attrs'].version} does not say its licence",
    ]
