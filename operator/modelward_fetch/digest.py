r"""The identity of a model: one SHA-256 over its files' names and contents, and nothing else.

It is what this prints in the model's folder, so anybody can check it:

    find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum

Neither the order of files, nor times, modes, owners, nor the store play a part. Names that `sha256sum` would print
otherwise (backslashes, line breaks) are refused before (`names`).
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from modelward_fetch.limits import CHUNK_BYTES

_Item = TypeVar("_Item", bound=tuple[object, ...])


def of_files(files: Mapping[str, str]) -> str:
    """The digest as `sha256:...`, from path to SHA-256 of the content."""
    lines = (f"{sha256}  {path}\n".encode() for path, sha256 in _sorted(files.items()))
    return _digest(lines)


def of_listing(entries: Iterable[tuple[str, int | None, str]]) -> str:
    """What a store lists, as one digest: path, size, and the store's own mark (ETag, version, checksum, mtime)."""
    return _digest(f"{path}\0{size}\0{mark}\n".encode() for path, size, mark in _sorted(entries))


def of_file(path: Path) -> str:
    """SHA-256 of the content, hexadecimal."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_folder(folder: Path) -> tuple[str, int, int]:
    """Digest, number of files and bytes of what lies in the folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    found = {str(path.relative_to(folder)): of_file(path) for path in files}
    return of_files(found), len(files), sum(path.stat().st_size for path in files)


def git_blob(path: Path) -> str:
    """SHA-1 as git names a file's content: what a Hugging Face hub says of small files."""
    sha = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            sha.update(chunk)
    return sha.hexdigest()


def _sorted(items: Iterable[_Item]) -> list[_Item]:
    return sorted(items, key=lambda item: str(item[0]).encode())


def _digest(lines: Iterable[bytes]) -> str:
    sha = hashlib.sha256()
    for line in lines:
        sha.update(line)
    return f"sha256:{sha.hexdigest()}"
