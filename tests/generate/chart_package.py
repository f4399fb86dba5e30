"""`python -m generate.chart_package` packs the Helm chart into dist/, with files where the repository has links."""

from pathlib import Path
from typing import Final

import helm_python

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "manifests" / "chart"


def pack(destination: Path) -> Path:
    """The archive in a folder, which is made if need be. Raises helm_python.HelmError."""
    destination.mkdir(parents=True, exist_ok=True)
    return Path(helm_python.package(CHART, destination=destination))


if __name__ == "__main__":
    print(pack(ROOT / "dist").relative_to(ROOT))
