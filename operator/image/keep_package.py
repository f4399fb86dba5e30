"""Leaves of the wheel's packages what one image needs.

python keep_package.py FOLDER modelward|modelward_fetch
"""

import shutil
import sys
from pathlib import Path

SHARED = ("__init__.py", "api/__init__.py", "api/printable.py")
"""Of the operator's package, what `modelward_fetch` imports (a contract in pyproject.toml)."""


def main(folder: Path, kept: str) -> None:
    """Removes the rest."""
    if kept == "modelward":
        shutil.rmtree(folder / "modelward_fetch")
        return
    shutil.rmtree(folder / "modelward_cli")
    package = folder / "modelward"
    for path in sorted(package.rglob("*"), reverse=True):
        if path.is_file() and not is_shared(path.relative_to(package)):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def is_shared(path: Path) -> bool:
    """The module, or its bytecode."""
    source = path.parent.parent / f"{path.name.partition('.')[0]}.py" if path.suffix == ".pyc" else path
    return source.as_posix() in SHARED


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
