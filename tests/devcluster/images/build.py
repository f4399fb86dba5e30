"""`build_image`: from a name to an archive that containerd imports, built only when something that goes in changed."""

import contextlib
import fcntl
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from devcluster.images import debian, host_pip
from devcluster.images.buildah import Buildah
from devcluster.images.recipes import IMAGES, PYTHON, ImageName, Recipe, content_key, stage
from devcluster.images.steps import ImageError, run, step

ARCHIVES_KEPT = 3  # per image: two checkouts may share the cache


def build_image(name: ImageName, *, go: Callable[[], str] | None = None) -> Path:
    """An OCI archive of the image, named after its content; milliseconds when it is already there.

    `go` finds the Go program for the pause image, and is asked only when that must be built (else $MODELWARD_GO,
    else the one on PATH).
    Raises ImageError with one line on what is missing or failed.
    """
    archive = archive_path(name)
    if archive.exists():
        return archive
    folder = archive.parent
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / ".lock"), _work_folder(folder) as work:
        recipe = stage(IMAGES[name], work / "context")
        archive = _archive(name, recipe)  # of the copy: sources may be edited while we build
        if not archive.exists():
            _build(recipe, archive, work, go or _go_on_path)
            _forget_old(folder, name)
    return archive


def archive_path(name: ImageName) -> Path:
    """Where the archive of the image as it is now belongs. Raises ImageError when an input is missing."""
    try:
        return _archive(name, IMAGES[name])
    except FileNotFoundError as error:
        raise ImageError(str(error)) from error


def _archive(name: ImageName, recipe: Recipe) -> Path:
    return cache_folder() / f"{name}-{content_key(recipe)}.tar"


def cache_folder() -> Path:
    """Where archives and layers are kept: $MODELWARD_CACHE/images, else below the user's cache folder."""
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("MODELWARD_CACHE") or user_cache / "modelward").absolute() / "images"


def _go_on_path() -> str:
    return os.environ.get("MODELWARD_GO") or "go"


def _build(recipe: Recipe, archive: Path, work: Path, go: Callable[[], str]) -> None:
    buildah = Buildah(cache_folder() / "storage")
    volumes: list[str] = []
    if recipe.needs_python:
        _provide_python(buildah, work)
        volumes = host_pip.build_volumes(work)
    else:
        _compile_pause(recipe.context, go())
    with step(f"building {recipe.reference}"):
        buildah.build(recipe.context, "Dockerfile", [recipe.reference], volumes, recipe.target)
    with step(f"writing {archive.name}"):
        buildah.save(recipe.reference, work / "layout")
        write_archive(work / "layout", recipe.reference, archive, work)


def _provide_python(buildah: Buildah, work: Path) -> None:
    """Puts the base under the tag that the Dockerfiles name, and under one that shows what it was made of."""
    made_of = f"localhost/modelward-python:{content_key(PYTHON)}"
    if not buildah.has(made_of):
        context = stage(PYTHON, work / "python").context
        debian.write_root_tar(context / "root.tar", work)
        with step(f"building the base {PYTHON.reference}"):
            buildah.build(context, "python/Dockerfile", [made_of], [])
    buildah.tag(made_of, PYTHON.reference)


def _compile_pause(context: Path, go: str) -> None:
    if not shutil.which(go):
        raise ImageError("the pause image needs Go: put `go` on PATH or its path in MODELWARD_GO")
    with step("compiling pause"):
        flags = ["-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid="]
        run([go, "build", *flags, "-o", "pause", "."], cwd=context, env={"CGO_ENABLED": "0", "GOOS": "linux"})
    os.utime(context / "pause", (0, 0))


def write_archive(layout: Path, reference: str, archive: Path, work: Path) -> None:
    """Packs an OCI layout, naming the image as containerd's importer (first key) and OCI (second) expect."""
    index = json.loads((layout / "index.json").read_text())
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    for manifest in index["manifests"]:
        manifest["annotations"] = names
    (layout / "index.json").write_text(json.dumps(index))
    unfinished = work / "archive.tar"
    with tarfile.open(unfinished, "w") as tar:
        for name in ("oci-layout", "index.json", "blobs"):
            tar.add(layout / name, name)
    unfinished.rename(archive)  # complete or not there


def _forget_old(folder: Path, name: str) -> None:
    newest_first = sorted(folder.glob(f"{name}-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[ARCHIVES_KEPT:]:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One build at a time on this cache; the kernel lets go of the lock when the process ends."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("waiting for another image build"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _work_folder(folder: Path) -> Iterator[Path]:
    """A folder on the archive's file system; what a killed build left there goes first (we hold the lock)."""
    for left in folder.glob("work-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
        yield Path(work)
