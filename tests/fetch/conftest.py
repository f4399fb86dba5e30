"""Servers that fetches are tested against: each on this machine, each ended with the tests that use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fetch_moto import Moto, running
from support.fetch_site import Site, serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An HTTPS server."""
    with serving(tmp_path) as site:
        yield site


@pytest.fixture
def plain_site(tmp_path: Path) -> Iterator[Site]:
    """An HTTP server."""
    with serving(tmp_path, tls=False) as site:
        yield site


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """An S3 with users and policies."""
    with running() as moto:
        yield moto
