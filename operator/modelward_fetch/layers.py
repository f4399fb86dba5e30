"""An image's layers, one over the other: files, folders and, of what an image can say beyond that, nothing.

A whiteout removes what a lower layer has. Links and devices are refused as in any archive; a base image is full of them,
so what is fetched has to be an image that carries a model and nothing else.
"""

import shutil
from pathlib import Path, PurePosixPath
from typing import Final

from modelward_fetch import archives
from modelward_fetch.limits import Limits
from modelward_fetch.sources.base import Listing
from modelward_fetch.staging import no_space

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"


def unpack(listing: Listing, files: Path, target: Path, limits: Limits) -> None:
    """Titled files moved, layers unpacked over one another, in the manifest's order."""
    target.mkdir()
    for number, entry in enumerate(listing.entries):
        if entry.path not in listing.unpacked:
            continue
        layer = target.with_name(f"unpacked-{number}")
        shutil.rmtree(layer, ignore_errors=True)
        archives.unpack(files / entry.path, layer, limits)
        _lay_over(target, layer)
        shutil.rmtree(layer)
    for entry in listing.entries:
        if entry.path not in listing.unpacked:
            with no_space():
                (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files / entry.path, target / entry.path)


def _lay_over(target: Path, layer: Path) -> None:
    paths = sorted(path.relative_to(layer) for path in layer.rglob("*"))
    for path in (each for each in paths if each.name.startswith(_WHITEOUT)):
        _remove(target, PurePosixPath(path))
    for path in paths:
        source, place = layer / path, target / path
        if path.name.startswith(_WHITEOUT):
            continue
        if source.is_dir():
            if place.is_file():
                place.unlink()
            place.mkdir(exist_ok=True)
        elif place.is_dir():
            shutil.rmtree(place)
            source.replace(place)
        else:
            source.replace(place)


def _remove(target: Path, whiteout: PurePosixPath) -> None:
    if whiteout.name == _OPAQUE:
        folder = target / whiteout.parent
        gone = list(folder.iterdir()) if folder.is_dir() else []
    else:
        gone = [target / whiteout.parent / whiteout.name.removeprefix(_WHITEOUT)]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
