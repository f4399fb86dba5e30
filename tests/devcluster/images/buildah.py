"""Buildah with a storage of its own, so that neither an engine nor the machine's other images are touched."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from devcluster.images.steps import ImageError, run, step


class Buildah:
    """Builds in `storage`; installs Debian's buildah when the machine has none."""

    def __init__(self, storage: Path) -> None:
        _install_if_missing()
        # Mount counts must not outlive a reboot, so they live in the temporary folder.
        short = hashlib.sha256(bytes(storage)).hexdigest()[:8]
        run_root = Path(tempfile.gettempdir()) / f"modelward-buildah-{os.getuid()}-{short}"
        self._prefix = ["buildah", "--root", str(storage), "--runroot", str(run_root)]
        self._prefix += ["--storage-driver", self._driver()]
        run([*self._prefix, "rm", "--all"])  # working containers of a build that was killed

    def _driver(self) -> str:
        """`overlay` shares files between layers; `vfs` copies them but works everywhere."""
        try:
            run([*self._prefix, "--storage-driver", "overlay", "info"])
        except ImageError:
            return "vfs"
        return "overlay"

    def build(
        self, context: Path, dockerfile: str, tags: list[str], volumes: list[str], target: str = ""
    ) -> None:
        """Builds with a layer cache; the base must be there already, for nothing is pulled."""
        options = [
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--layers",
            "--pull-never",
            "--timestamp",
            "0",
        ]
        options += [part for volume in volumes for part in ("--volume", volume)]
        options += ["--target", target] if target else []
        options += [part for tag in tags for part in ("--tag", tag)]
        run([*self._prefix, "bud", *options, "--file", context / dockerfile, context])

    def has(self, reference: str) -> bool:
        """Whether an image of that name is in the storage."""
        try:
            run([*self._prefix, "inspect", "--type", "image", reference])
        except ImageError:
            return False
        return True

    def tag(self, reference: str, other: str) -> None:
        """Gives the image a second name."""
        run([*self._prefix, "tag", reference, other])

    def save(self, reference: str, layout: Path) -> None:
        """Writes the image as an OCI layout folder."""
        run([*self._prefix, "push", reference, f"oci:{layout}"])


def _install_if_missing() -> None:
    if shutil.which("buildah"):
        return
    rights = [] if os.geteuid() == 0 else ["sudo", "-n"]
    remedy = "install it yourself: `apt-get install buildah`"
    if not shutil.which("apt-get"):
        raise ImageError(f"buildah is missing and this machine has no apt-get; {remedy}")
    with step("installing buildah"):
        try:
            run([*rights, "apt-get", "-qq", "update"])
            install = ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", "buildah"]
            run([*rights, *install], env={"DEBIAN_FRONTEND": "noninteractive"})
        except ImageError as error:
            raise ImageError(f"buildah is missing and cannot be installed; {remedy}\n{error}") from error
