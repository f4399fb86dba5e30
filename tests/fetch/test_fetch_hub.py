"""hf:// against a hub in Hugging Face's wire format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch.failures import Reason
from modelward_fetch.pin import Pin
from modelward_fetch.uri import parse
from support.fetch import QUICK, digest_of, failure, fetch, files, reason
from support.fetch_hub import COMMITS, Hub, Repository
from support.fetch_site import Page, Site

LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range(600))
FILES = {"config.json": b"{}", "model.safetensors": LARGE, "sub/a b ü%.txt": b"x"}
OTHER = FILES | {"config.json": b"[]"}

Made = Callable[..., Repository]


@pytest.fixture
def secret(site: Site) -> dict[str, str]:
    """That names the hub and trusts it."""
    return {"HF_ENDPOINT": site.url, "ca.crt": site.ca}


@pytest.fixture
def hub(site: Site) -> Made:
    """A hub with the repository org/model."""

    def make(**options: object) -> Repository:
        made = Repository(commits={COMMITS[0]: FILES, COMMITS[1]: OTHER}, **options)  # type: ignore[arg-type]
        Hub(site, model=made)
        return made

    return make


def test_a_repository_is_pinned_to_its_commit(hub: Made, secret: dict[str, str], tmp_path: Path) -> None:
    """What `main` means is resolved once; later pods get the same."""
    repository = hub()
    first = fetch("hf://org/model", tmp_path / "a", secret=secret)
    assert files(tmp_path / "a") == FILES
    assert (first.resolved, first.identity) == (f"hf://org/model@{COMMITS[0]}", "Pinned")
    assert first.digest == digest_of(FILES)
    repository.refs["main"] = COMMITS[1]
    pin = Pin(resolved=parse(first.resolved), digest=first.digest)
    again = fetch("hf://org/model", tmp_path / "b", secret=secret, pin=pin)
    assert (again.digest, again.source_moved) == (first.digest, True)
    assert fetch("hf://org/model@main", tmp_path / "c", secret=secret).digest == digest_of(OTHER)


def test_the_second_start_fetches_nothing(
    hub: Made, site: Site, secret: dict[str, str], tmp_path: Path
) -> None:
    """It asks for the commit and its tree."""
    hub()
    fetch("hf://org/model", tmp_path / "a", secret=secret)
    asked = len(site.seen)
    assert fetch("hf://org/model", tmp_path / "a", secret=secret).result == "AlreadyThere"
    assert [each.path.split("/")[1] for each in site.seen[asked:]] == ["api", "api"]


def test_a_folder_and_a_file_of_it(hub: Made, secret: dict[str, str], tmp_path: Path) -> None:
    """By the path behind the revision."""
    hub()
    fetch("hf://org/model@main/sub", tmp_path / "a", secret=secret)
    assert files(tmp_path / "a") == {"a b ü%.txt": b"x"}
    fetch("hf://org/model/config.json", tmp_path / "b", secret=secret)
    assert files(tmp_path / "b") == {"config.json": b"{}"}
    assert reason("hf://org/model/nothing", tmp_path / "c", secret=secret) == Reason.NOT_FOUND


def test_a_private_repository(hub: Made, secret: dict[str, str], tmp_path: Path) -> None:
    """The token reads it; without one, or with another, it does not exist as far as anybody is reported."""
    hub(token="hf_planted")
    assert fetch("hf://org/model", tmp_path / "a", secret=secret | {"HF_TOKEN": "hf_planted"}).files == 3
    for wrong in ({}, {"HF_TOKEN": "hf_another"}):
        failed = failure("hf://org/model", tmp_path / "b", secret=secret | wrong)
        assert (failed.reason, "HF_TOKEN" in failed.remedy) == (Reason.DENIED, True)
        assert "hf_another" not in failed.message


def test_what_is_not_there_or_not_open(hub: Made, secret: dict[str, str], tmp_path: Path) -> None:
    """A repository, a revision, a licence."""
    repository = hub()
    assert reason("hf://org/other", tmp_path / "a", secret=secret) == Reason.DENIED
    assert reason("hf://org/model@v9", tmp_path / "a", secret=secret) == Reason.NOT_FOUND
    repository.gated = True
    failed = failure("hf://org/model", tmp_path / "a", secret=secret)
    assert (failed.reason, "licence" in failed.remedy) == (Reason.DENIED, True)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_other_bytes_of_the_right_size(hub: Made, secret: dict[str, str], tmp_path: Path, name: str) -> None:
    """Small files by git's SHA-1, large ones by SHA-256."""
    hub(wrong={name: FILES[name][::-1]})
    failed = failure("hf://org/model", tmp_path / "a", secret=secret)
    assert (failed.reason, name in failed.message) == (Reason.CHECKSUM_MISMATCH, True)
    assert not (tmp_path / "a").exists()


def test_every_connection_is_cut(hub: Made, secret: dict[str, str], tmp_path: Path) -> None:
    """And goes on."""
    hub(faults=Page(cut_after=100_000))
    report = fetch("hf://org/model", tmp_path / "a", secret=secret)
    assert files(tmp_path / "a") == FILES
    assert report.transferred == sum(map(len, FILES.values()))


def test_the_token_stays_with_the_hub(
    hub: Made, site: Site, plain_site: Site, secret: dict[str, str], tmp_path: Path
) -> None:
    """Files may come from elsewhere: from there they come without it."""
    repository = hub(token="hf_planted")
    endpoint = secret | {"HF_TOKEN": "hf_planted", "HF_ENDPOINT": site.url}
    other = site.url.replace("localhost", "127.0.0.1")
    repository.elsewhere = f"{other}/cdn"
    site.apis.insert(
        0, lambda handler: handler.path.startswith("/cdn/") and handler.give(_page(handler.path))
    )
    fetch("hf://org/model/config.json", tmp_path / "a", secret=endpoint)
    assert {each.headers.get("authorization") for each in site.seen if each.path.startswith("/cdn/")} == {
        None
    }
    repository.elsewhere = "https://169.254.169.254/latest"
    assert reason("hf://org/model/sub", tmp_path / "b", secret=endpoint) == Reason.ADDRESS_REFUSED


def _page(path: str) -> Page:
    return Page(FILES[path.removeprefix("/cdn/")])


def test_a_tree_of_100_000_files(hub: Made, site: Site, secret: dict[str, str], tmp_path: Path) -> None:
    """Ten thousand are read of it."""
    repository = hub()
    repository.commits[COMMITS[0]] = {f"{number:06}": b"x" for number in range(100_000)}
    assert reason("hf://org/model", tmp_path / "a", secret=secret) == Reason.TOO_LARGE
    assert len(site.seen) <= 13


def test_a_hub_that_does_not_answer_with_json(site: Site, secret: dict[str, str], tmp_path: Path) -> None:
    """A gateway's page is tried again, and said in the end."""
    site.apis.append(lambda handler: handler.answer(200, {}, b"<html>welcome"))
    limits = replace(QUICK, seconds=1.0)
    assert reason("hf://org/model", tmp_path / "a", secret=secret, limits=limits) == Reason.UNREACHABLE
