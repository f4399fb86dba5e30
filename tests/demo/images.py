"""The images, and how they get to where pods find them."""

from __future__ import annotations

import dataclasses
import os

from demo.console import Console
from demo.errors import RefusedError
from demo.places import Place
from devcluster.images import REFERENCES, ImageName, build_image
from devcluster.node_images import image_digests

OPERATOR_VARIABLE = "DEMO_OPERATOR_IMAGE"
SERVER_VARIABLE = "DEMO_SERVER_IMAGE"
_LOCAL = "modelward.local/"
"""Begins the names that no registry has."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """References that work in the cluster."""

    operator: str
    server: str
    fetch: str = ""
    """The image that fetches models; empty where none are fetched."""
    operator_digest: str = ""
    """Shows a new build under the same name from the one before; empty when a registry decides."""

    @property
    def local(self) -> list[str]:
        """Those that no registry has: they must be on the nodes already."""
        return [image for image in (self.operator, self.server) if image.startswith(_LOCAL)]


def provide(place: Place, console: Console) -> Images:
    """Images for a cluster: built and loaded into the node of a development cluster, else those of the user."""
    if place.cluster is None:
        return chosen()
    digest = _load(place, "operator", console)
    _load(place, "model-server", console)
    images = Images(
        operator=REFERENCES["operator"], server=REFERENCES["model-server"], operator_digest=digest
    )
    if not place.own:
        return images
    _load(place, "fetch", console)
    return dataclasses.replace(images, fetch=REFERENCES["fetch"])


def chosen() -> Images:
    """What the user says that the cluster can pull. Raises RefusedError when that is not said."""
    names = {variable: os.environ.get(variable, "") for variable in (OPERATOR_VARIABLE, SERVER_VARIABLE)}
    missing = [variable for variable, image in names.items() if not image]
    if missing:
        raise RefusedError(
            f"set {' and '.join(missing)}: this cluster cannot get at images that are built here. Build them"
            " with `docker build .` and `docker build tests/model_server` and push them to a registry that it"
            " pulls from; or load the archives that `python -m devcluster.images` (PYTHONPATH=tests) writes into its nodes"
            f" (`kind load image-archive ...`) and name them {REFERENCES['operator']} and"
            f" {REFERENCES['model-server']}"
        )
    return Images(operator=names[OPERATOR_VARIABLE], server=names[SERVER_VARIABLE])


def _load(place: Place, name: ImageName, console: Console) -> str:
    """The digest of an image that is now on the node."""
    with console.taking_over():
        archive = build_image(name)
    if place.cluster:
        place.cluster.load_image(archive)
    console.say(f"{REFERENCES[name]} is on the node ({archive.stat().st_size / 1e6:.0f} MB)")
    return image_digests(archive)[REFERENCES[name]]
