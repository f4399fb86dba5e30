"""A hub in Hugging Face's wire format: revisions, the tree by pages, files by commit, errors by X-Error-Code."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from support.fetch_site import Handler, Page, Site

COMMITS = ("a" * 40, "b" * 40)
LFS_FROM = 100_000
"""Bytes: larger files have a SHA-256 instead of git's SHA-1."""


@dataclass
class Repository:
    """Commits by what moves, and files by commit."""

    refs: dict[str, str] = field(default_factory=lambda: {"main": COMMITS[0]})
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    page_size: int = 1000
    wrong: dict[str, bytes] = field(default_factory=dict)
    """Files that are given with other bytes than are listed."""
    elsewhere: str = ""
    """Where files are redirected to."""
    faults: Page = field(default_factory=Page)


class Hub:
    """The server's part of it."""

    def __init__(self, site: Site, **repositories: Repository) -> None:
        self._url = site.url
        self._repositories = {f"org/{name}": each for name, each in repositories.items()}
        site.apis.append(self._answer)

    def _answer(self, handler: Handler) -> bool:
        split = urlsplit(handler.path)
        parts = [unquote(part) for part in split.path.strip("/").split("/")]
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        repository = self._repositories.get(name)
        if repository is None or (
            repository.token and handler.headers.get("authorization") != f"Bearer {repository.token}"
        ):
            self._refuse(handler, 401, "RepoNotFound")
        elif repository.gated:
            self._refuse(handler, 403, "GatedRepo")
        elif api:
            self._api(handler, repository, parts[4:], parse_qs(split.query))
        else:
            self._file(handler, repository, parts[2:])
        return True

    def _api(
        self, handler: Handler, repository: Repository, parts: list[str], query: dict[str, list[str]]
    ) -> None:
        commit = repository.refs.get(parts[1], parts[1])
        if commit not in repository.commits:
            self._refuse(handler, 404, "RevisionNotFound")
        elif parts[0] == "revision":
            self._json(handler, {"id": "org/x", "sha": commit, "siblings": []})
        else:
            tree = sorted(repository.commits[commit].items())
            start = int(query.get("cursor", ["0"])[0])
            stop = start + repository.page_size
            more = f'<{self._url}{urlsplit(handler.path).path}?recursive=true&cursor={stop}>; rel="next"'
            page = [_listed(name, content) for name, content in tree[start:stop]]
            self._json(handler, page, {"Link": more} if stop < len(tree) else {})

    def _file(self, handler: Handler, repository: Repository, parts: list[str]) -> None:
        name = "/".join(parts[2:])
        content = repository.commits.get(parts[1], {}).get(name)
        if content is None:
            self._refuse(handler, 404, "EntryNotFound")
        elif repository.elsewhere:
            handler.answer(302, {"Location": f"{repository.elsewhere}/{name}"})
        else:
            handler.give(repository.faults, repository.wrong.get(name, content))

    def _json(self, handler: Handler, value: Any, headers: dict[str, str] | None = None) -> None:
        handler.answer(
            200, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode()
        )

    def _refuse(self, handler: Handler, status: int, code: str) -> None:
        handler.answer(status, {"X-Error-Code": code, "X-Error-Message": code})


def _listed(name: str, content: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}
    if len(content) >= LFS_FROM:
        said["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return said


def _blob(content: bytes) -> str:
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
