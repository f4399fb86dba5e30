"""The chart as a release publishes it: with the image that was just pushed, by digest."""

import re
import shutil
from pathlib import Path

from supply import locks

CHART = locks.ROOT / "manifests" / "chart"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PLACES = (
    (
        re.compile(r"(?m)^  # Registry and name.*\n  repository: .*$"),
        "  # Registry and name.\n  repository: {image}",
    ),
    (re.compile(r"(?m)^  digest: ''$"), "  digest: {digest}"),
)


def copy(folder: Path, image: str, digest: str) -> None:
    """Copies the chart to a folder that is not there yet. Raises ValueError for what is no image or no digest."""
    if not _DIGEST.fullmatch(digest) or re.search(r"[@\s]|:[^/]*$", image):
        raise ValueError(f"{image}@{digest} is no image by digest")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    for place, text in _PLACES:
        values, times = place.subn(text.format(image=image, digest=digest), values)
        if times != 1:
            raise ValueError(f"values.yaml has {times} places like {place.pattern!r}, one was expected")
    shutil.copytree(CHART, folder)
    (folder / "values.yaml").write_text(values, encoding="utf-8")
