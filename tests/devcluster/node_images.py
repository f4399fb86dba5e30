"""Images on the real node: imported from OCI archives, never pulled."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

from devcluster import commands, processes
from devcluster.errors import DevclusterError, NotRunningError
from devcluster.node_config import CONTAINERD_BINARIES, SOCKET

NAME_ANNOTATION = "io.containerd.image.name"
NAMESPACE = "k8s.io"  # of containerd, not of Kubernetes: the one that the kubelet uses


def import_image(directory: Path, archive: Path) -> bool:
    """Import an archive; True when its images were there already, with the same digests."""
    wanted = image_digests(archive)
    if wanted.items() <= _present(directory).items():
        return True
    with archive.open("rb") as file:  # by stdin: the node may not see the archive's folder
        done = subprocess.run(
            _ctr(directory, "images", "import", "-"), stdin=file, capture_output=True, check=False
        )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["ctr said nothing"]
        raise DevclusterError(f"{archive} cannot be imported: {lines[-1]}")
    missing = wanted.keys() - _present(directory).keys()
    if missing:
        raise DevclusterError(f"{archive} was imported, but not as {', '.join(sorted(missing))}")
    return False


def image_digests(archive: Path) -> dict[str, str]:
    """Digest of the manifest by full image name. Raises DevclusterError when it is no named OCI archive."""
    try:
        with tarfile.open(archive) as tar:
            file = tar.extractfile("index.json")
            index = json.load(file) if file else {}
        return {entry["annotations"][NAME_ANNOTATION]: entry["digest"] for entry in index["manifests"]}
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        remedy = f"It needs an index.json whose manifests are annotated with {NAME_ANNOTATION}"
        raise DevclusterError(f"{archive} cannot be imported ({error})", remedy) from error


def inside(anchor: int) -> list[str]:
    """What to put before a command so that it runs in the node's namespaces."""
    return ["nsenter", f"--target={anchor}", "--mount", "--net", "--"]


def containerd_answers(directory: Path) -> bool:
    """Whether containerd takes requests, also those of the kubelet (its plugin cri)."""
    plugins = commands.attempt(_ctr(directory, "plugins", "list")).stdout
    return any(line.split()[1:2] == ["cri"] and line.split()[-1] == "ok" for line in plugins.splitlines())


def _present(directory: Path) -> dict[str, str]:
    """Name and digest of the images in the node."""
    lines = commands.run(_ctr(directory, "images", "list")).splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines if line.strip()}


def _ctr(directory: Path, *arguments: str) -> list[str]:
    anchor = processes.main_process(directory, "anchor", "sleep")
    if anchor is None:
        raise NotRunningError("the cluster's real node does not run", "Start it: up --node")
    ctr = [f"{CONTAINERD_BINARIES}/ctr", f"--address={SOCKET}", f"--namespace={NAMESPACE}"]
    return commands.privileged([*inside(anchor.pid), *ctr, *arguments])
