"""`python -m generate` writes the generated files; with `--check` it only says which are stale."""

import sys
import tempfile
from pathlib import Path
from typing import Final

from generate import chart, install, pages, picture
from modelward.api import reference
from modelward.api.crd import definitions

ROOT: Final = Path(__file__).parents[2]
REMEDY: Final = "run `make generate` and commit what it writes"


def generated() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    folder = Path("docs/reference")
    with tempfile.TemporaryDirectory() as scratch:
        files = {
            Path("crds") / path.name: path.read_text(encoding="utf-8")
            for path in definitions.dump(Path(scratch))
        }
    return files | {
        folder / "api.md": reference.markdown(),
        folder / "chart.md": pages.chart(),
        folder / "conditions.md": pages.conditions(),
        folder / "guarantees.md": pages.guarantees(),
        folder / "metrics.md": pages.metrics(),
        folder / "phases.md": pages.phases(),
        folder / "settings.md": pages.settings(),
        Path("manifests/chart/values.yaml"): chart.values_yaml(),
        Path("manifests/chart/values.schema.json"): chart.schema_json(),
        Path("manifests/install.yaml"): install.text(),
        Path("docs/images/rollback.svg"): picture.svg(),
    }


def stale(files: dict[Path, str], root: Path = ROOT) -> list[str]:
    """One sentence for each file that is missing, differs, or should not be there."""
    problems = []
    for path, text in files.items():
        target = root / path
        if not target.exists():
            problems.append(f"{path} is missing: {REMEDY}")
        elif target.read_text(encoding="utf-8") != text:
            problems.append(f"{path} is stale: {REMEDY}")
    left = {path.relative_to(root) for path in (root / "crds").glob("*.yaml")} - files.keys()
    return problems + [f"{path} is made from nothing any more: delete it" for path in sorted(left)]


def write(files: dict[Path, str], root: Path = ROOT) -> None:
    """Write them all."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Exit code: 0 done or all fresh, 1 something is stale, 2 bad usage."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m generate [--check]", file=sys.stderr)
        return 2
    files = generated()
    if not arguments:
        write(files)
        return 0
    problems = stale(files)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
