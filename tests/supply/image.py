"""Looks into an image: an OCI layout, as a folder or as an archive of one."""

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDS = "var/lib/dpkg/status.d/"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianPackage:
    """A package that files of the image come from."""

    name: str
    version: str
    architecture: str


def debian_packages(image: Path) -> list[DebianPackage]:
    """What the records in the image say, by name."""
    if image.is_file():
        with tempfile.TemporaryDirectory() as folder:
            return debian_packages(unpacked(image, Path(folder)))
    found = [_package(text) for layer in manifest(image)["layers"] for text in _records(image, layer)]
    return sorted(found, key=lambda package: package.name)


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder, with the layout that was in the archive. By tar: Debian 12's Python 3.11.2 has no safe way."""
    subprocess.run(["tar", "-x", "-f", archive, "-C", folder], check=True)
    return folder


def manifest(image: Path) -> dict[str, Any]:
    """The manifest of a layout with one image in it."""
    (only,) = json.loads((image / "index.json").read_text())["manifests"]
    return blob(image, only["digest"])


def blob(image: Path, digest: str) -> dict[str, Any]:
    """A blob that is JSON."""
    content: dict[str, Any] = json.loads(_path(image, digest).read_text())
    return content


def entries(image: Path, layer: dict[str, Any]) -> Iterator[tarfile.TarInfo]:
    """All that a layer adds."""
    with tarfile.open(_path(image, layer["digest"])) as archive:
        yield from archive


def _records(image: Path, layer: dict[str, Any]) -> Iterator[str]:
    with tarfile.open(_path(image, layer["digest"])) as archive:
        for entry in archive:
            if entry.isfile() and entry.name.startswith(RECORDS) and (file := archive.extractfile(entry)):
                yield file.read().decode()


def _package(record: str) -> DebianPackage:
    fields = dict(line.split(": ", 1) for line in record.splitlines() if ": " in line and line[0] != " ")
    return DebianPackage(
        name=fields["Package"], version=fields["Version"], architecture=fields["Architecture"]
    )


def _path(image: Path, digest: str) -> Path:
    return image / "blobs" / digest.replace(":", "/")
