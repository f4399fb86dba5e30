"""What each image is made of: its Dockerfile, the files that go in, and the key that names the result."""

import fnmatch
import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

ImageName = Literal["pause", "operator", "fetch", "model-server"]

REPOSITORY = Path(__file__).resolve().parents[3]
RECIPES = Path(__file__).resolve().parent
NOT_CONTENT = ("__pycache__", "*.pyc", ".*_cache")
PYTHON_BASE = "docker.io/library/python:3.13-slim"  # the tag that the Dockerfiles name

REFERENCES: dict[ImageName, str] = {
    "pause": "modelward.local/pause:1",
    "operator": "modelward.local/modelward:dev",
    "fetch": "modelward.local/modelward-fetch:dev",
    "model-server": "modelward.local/model-server:1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A Dockerfile's folder (the build context) and the paths below it that the build may see."""

    reference: str
    context: Path
    inputs: tuple[str, ...]
    needs_python: bool = False
    target: str = ""
    """The stage of the Dockerfile; empty for its last one."""


PYTHON = Recipe(reference=PYTHON_BASE, context=RECIPES, inputs=("python/Dockerfile", "debian.py"))

IMAGES: dict[ImageName, Recipe] = {
    "pause": Recipe(
        reference=REFERENCES["pause"], context=RECIPES / "pause", inputs=("Dockerfile", "go.mod", "main.go")
    ),
    "operator": Recipe(
        reference=REFERENCES["operator"],
        context=REPOSITORY,
        inputs=(
            "Dockerfile",
            "LICENSE",
            "README.md",
            "operator",
            "pyproject.toml",
            "requirements-build.lock",
            "requirements.lock",
        ),
        needs_python=True,
    ),
    "fetch": Recipe(
        reference=REFERENCES["fetch"],
        context=REPOSITORY,
        inputs=(
            "Dockerfile",
            "LICENSE",
            "README.md",
            "operator",
            "pyproject.toml",
            "requirements-build.lock",
            "requirements-fetch.lock",
        ),
        needs_python=True,
        target="fetch",
    ),
    "model-server": Recipe(
        reference=REFERENCES["model-server"],
        context=REPOSITORY / "tests" / "model_server",
        inputs=(".dockerignore", "Dockerfile", "models", "requirements.lock", "*.py"),
        needs_python=True,
    ),
}


def parse_name(text: str) -> ImageName:
    """The image of that name. Raises ValueError with the names there are."""
    for name in REFERENCES:
        if text == name:
            return name
    raise ValueError(f"no image is called {text!r}; there are: {', '.join(REFERENCES)}")


def content_key(recipe: Recipe) -> str:
    """12 hexadecimal characters over all that goes in: paths, modes and bytes, those of the base included."""
    digest = hashlib.sha256(recipe.target.encode())
    for path in files_of(recipe):
        executable = os.access(path, os.X_OK)
        digest.update(f"{path.relative_to(recipe.context)}\0{executable}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    if recipe.needs_python:
        digest.update(content_key(PYTHON).encode())
    return digest.hexdigest()[:12]


def files_of(recipe: Recipe) -> Iterator[Path]:
    """Every file the build may see, sorted. Raises FileNotFoundError when an input is missing."""
    for pattern in recipe.inputs:
        found = sorted(recipe.context.glob(pattern))
        if not found:
            raise FileNotFoundError(f"{recipe.context / pattern} is missing, the image is built from it")
        for path in found:
            yield from _below(path)


def _below(path: Path) -> Iterator[Path]:
    if any(fnmatch.fnmatch(path.name, pattern) for pattern in NOT_CONTENT):
        return
    if path.is_dir():
        for child in sorted(path.iterdir()):
            yield from _below(child)
    else:
        yield path


def stage(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe on a copy of its inputs, and of nothing else, in a build context of its own.

    So the key covers by construction what the build can see, and the fixed time keeps the layer cache warm.
    """
    for path in files_of(recipe):
        target = folder / path.relative_to(recipe.context)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        os.utime(target, (0, 0))
    return replace(recipe, context=folder)
