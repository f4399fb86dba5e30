"""Container images for the development cluster, built from Dockerfiles without an engine or a registry.

`python -m devcluster.images operator model-server` prints where the archives are; `build_image` returns it.
"""

from devcluster.images.build import build_image
from devcluster.images.recipes import REFERENCES, ImageName
from devcluster.images.steps import ImageError

__all__ = ["REFERENCES", "ImageError", "ImageName", "build_image"]
