"""https:// from servers that behave, and from servers that do not."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch.failures import Reason
from modelward_fetch.pin import Pin
from modelward_fetch.uri import parse
from support.fetch import PART_BYTES, QUICK, digest_of, failure, fetch, files, program, reason
from support.fetch_site import Page, Site

KIB = 1024
BODY = bytes(range(256)) * 512
"""128 KiB: half a part."""
LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range((2 * PART_BYTES + 100 * KIB) // KIB))
"""More than two parts, no two KiB of it alike."""


def ca(site: Site) -> dict[str, str]:
    """The Secret that trusts the server."""
    return {"ca.crt": site.ca}


def test_a_file_comes_whole_with_its_digest(site: Site, tmp_path: Path) -> None:
    """In several parts at once."""
    site.pages["/m/model.onnx"] = Page(LARGE)
    report = fetch(f"{site.url}/m/model.onnx", tmp_path / "m", secret=ca(site))
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    assert report.result == "Fetched"
    assert report.digest == digest_of({"model.onnx": LARGE})
    assert (report.files, report.bytes, report.identity) == (1, len(LARGE), "Mutable")
    assert site.counted("/m/model.onnx") == 1 + 3


def test_the_second_start_fetches_nothing(site: Site, tmp_path: Path) -> None:
    """It asks once what the server has, and reads what lies there."""
    site.pages["/model.onnx"] = Page(LARGE)
    first = fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    asked = len(site.seen)
    second = fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert (second.result, second.digest, second.transferred) == ("AlreadyThere", first.digest, 0)
    assert len(site.seen) == asked + 1


def test_a_file_that_was_edited_since_is_fetched_again(site: Site, tmp_path: Path) -> None:
    """What is there is read, not believed."""
    site.pages["/model.onnx"] = Page(BODY)
    fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    (tmp_path / "m" / "model.onnx").write_bytes(BODY[::-1])
    assert fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)).result == "Fetched"
    assert files(tmp_path / "m") == {"model.onnx": BODY}


def test_every_connection_is_cut(site: Site, tmp_path: Path) -> None:
    """Each goes on at the byte where the one before ended."""
    site.pages["/model.onnx"] = Page(LARGE, cut_after=50 * KIB)
    report = fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    assert report.transferred == len(LARGE)


def test_a_connection_that_stalls_is_given_up(site: Site, tmp_path: Path) -> None:
    """Then the rest comes by another one."""
    site.pages["/model.onnx"] = Page(BODY, stall_after=1000, stalls=1)
    fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site), limits=replace(QUICK, stall_seconds=0.5))
    assert files(tmp_path / "m") == {"model.onnx": BODY}


def test_a_server_that_always_stalls_runs_into_the_time_limit(site: Site, tmp_path: Path) -> None:
    """What came is kept."""
    site.pages["/model.onnx"] = Page(BODY, stall_after=1000)
    limits = replace(QUICK, seconds=5.0, stall_seconds=0.5)
    assert reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site), limits=limits) == Reason.TIMEOUT
    assert not (tmp_path / "m").exists()


def test_no_server(site: Site, tmp_path: Path) -> None:
    """Tried until time is over."""
    limits = replace(QUICK, seconds=0.5)
    failed = failure("https://localhost:1/model.onnx", tmp_path / "m", secret=ca(site), limits=limits)
    assert (failed.reason, "no connection" in failed.message) == (Reason.UNREACHABLE, True)


@pytest.mark.parametrize("length", [len(BODY) + 1000, len(BODY) - 1000])
def test_a_server_that_lies_about_length(site: Site, tmp_path: Path, length: int) -> None:
    """Less than it says is no model; more than it says was never part of the answer."""
    site.pages["/model.onnx"] = Page(BODY, length=length, ranges=False)
    limits = replace(QUICK, seconds=3.0, stall_seconds=0.5)
    uri = f"{site.url}/model.onnx"
    if length < len(BODY):
        assert (
            fetch(uri, tmp_path / "m", secret=ca(site)).bytes == length
        )  # HTTP knows no more of it than that
        return
    assert reason(uri, tmp_path / "m", secret=ca(site), limits=limits) in {
        Reason.TIMEOUT,
        Reason.UNREACHABLE,
    }


def test_a_server_that_does_not_say_where_a_file_ends(site: Site, tmp_path: Path) -> None:
    """A cut would look like the end."""
    site.pages["/model.onnx"] = Page(BODY, length=-1, ranges=False, cut_after=1000)
    assert reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)) == Reason.UNREACHABLE
    assert not (tmp_path / "m").exists()


def test_other_bytes_of_the_right_size(site: Site, tmp_path: Path) -> None:
    """Known by spec.model.sha256; nothing is published, and the next start begins anew."""
    site.pages["/model.onnx"] = Page(LARGE)
    right = fetch(f"{site.url}/model.onnx", tmp_path / "right", secret=ca(site)).sha256
    site.pages["/model.onnx"] = Page(LARGE[::-1])
    uri, wrong = f"{site.url}/model.onnx", tmp_path / "wrong"
    failed = failure(uri, wrong, secret=ca(site), sha256=right)
    assert (failed.reason, failed.field) == (Reason.CHECKSUM_MISMATCH, "spec.model.sha256")
    assert not wrong.exists()
    site.pages["/model.onnx"] = Page(LARGE)
    assert fetch(uri, wrong, secret=ca(site), sha256=right).result == "Fetched"


def test_a_pinned_revision_whose_bytes_changed(site: Site, tmp_path: Path) -> None:
    """ModelChanged, with both digests."""
    site.pages["/model.onnx"] = Page(BODY)
    uri = f"{site.url}/model.onnx"
    first = fetch(uri, tmp_path / "a", secret=ca(site))
    pin = Pin(resolved=parse(uri), digest=first.digest, listing=first.listing)
    site.pages["/model.onnx"] = Page(BODY[::-1], etag='"two"')
    failed = failure(uri, tmp_path / "b", secret=ca(site), pin=pin)
    assert failed.reason == Reason.MODEL_CHANGED
    assert first.digest in failed.message
    site.pages["/model.onnx"] = Page(BODY, etag='"three"')
    again = fetch(uri, tmp_path / "b", secret=ca(site), pin=pin)
    assert (again.digest, again.source_moved) == (first.digest, True)


def test_a_file_that_changes_while_it_is_read(site: Site, tmp_path: Path) -> None:
    """No mixture: what is published is one of the two."""
    page = Page(LARGE, cut_after=50 * KIB)
    site.pages["/model.onnx"] = page

    def change(_handler: object) -> bool:
        if site.counted("/model.onnx") == 8:
            page.content, page.etag = LARGE[::-1], '"two"'
        return False

    site.apis.append(change)
    fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert files(tmp_path / "m") == {"model.onnx": LARGE[::-1]}


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_mark_a_file_comes_by_one_connection(site: Site, tmp_path: Path, etag: str) -> None:
    """Ranges of what may be two contents are not put together."""
    site.pages["/model.onnx"] = Page(LARGE, etag=etag)
    fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    assert [each.headers.get("range") for each in site.seen] == ["bytes=0-0", None]


def test_overload_is_waited_for(site: Site, tmp_path: Path) -> None:
    """503 is no failure."""
    site.pages["/model.onnx"] = Page(BODY, failures=3)
    assert fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)).result == "Fetched"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, Reason.DENIED),
        (403, Reason.DENIED),
        (404, Reason.NOT_FOUND),
        (410, Reason.NOT_FOUND),
        (418, Reason.UNREACHABLE),
    ],
)
def test_a_status_is_a_reason(site: Site, tmp_path: Path, status: int, expected: Reason) -> None:
    """At once, without trying again."""
    site.pages["/model.onnx"] = Page(status=status)
    assert reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)) == expected
    assert len(site.seen) == 1


@pytest.mark.parametrize(
    ("secret", "header"),
    [
        ({"username": "ann", "password": "planted-1"}, "Basic YW5uOnBsYW50ZWQtMQ=="),
        ({"token": "planted-2"}, "Bearer planted-2"),
    ],
)
def test_credentials_go_to_the_server_that_the_address_names(
    site: Site, tmp_path: Path, secret: dict[str, str], header: str
) -> None:
    """With them it comes, without it is Denied."""
    site.pages["/model.onnx"] = Page(BODY, authorization=header)
    assert fetch(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site) | secret).result == "Fetched"
    assert reason(f"{site.url}/model.onnx", tmp_path / "n", secret=ca(site)) == Reason.DENIED


def test_credentials_do_not_follow_a_redirect_elsewhere(site: Site, plain_site: Site, tmp_path: Path) -> None:
    """Another port is another server."""
    plain_site.pages["/from/model.onnx"] = Page(redirect=f"{site.url}/model.onnx")
    site.pages["/model.onnx"] = Page(BODY)
    secret = ca(site) | {"token": "planted"}
    fetch(f"{plain_site.url}/from/model.onnx", tmp_path / "m", secret=secret)
    assert {each.headers.get("authorization") for each in plain_site.seen} == {"Bearer planted"}
    assert {each.headers.get("authorization") for each in site.seen} == {None}


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://100.100.100.200/",
        "https://2852039166/",
        "https://0xa9fea9fe/",
        "https://0.0.0.0/",
    ],
)
def test_a_redirect_to_a_metadata_address(site: Site, tmp_path: Path, target: str) -> None:
    """However it is written."""
    site.pages["/model.onnx"] = Page(redirect=target)
    failed = failure(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert failed.reason == Reason.ADDRESS_REFUSED


def test_a_redirect_from_https_to_plain_http(site: Site, plain_site: Site, tmp_path: Path) -> None:
    """Not even on this machine: who began encrypted stays so."""
    site.pages["/model.onnx"] = Page(redirect=f"{plain_site.url}/model.onnx")
    plain_site.pages["/model.onnx"] = Page(BODY)
    assert reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)) == Reason.ADDRESS_REFUSED
    assert plain_site.seen == []


def test_redirects_without_end(site: Site, tmp_path: Path) -> None:
    """Five are followed."""
    site.pages["/model.onnx"] = Page(redirect="/model.onnx")
    failed = failure(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site))
    assert (failed.reason, "redirects" in failed.message) == (Reason.UNREACHABLE, True)
    assert len(site.seen) == 6


@pytest.mark.parametrize("uri", ["http://example.com/model.onnx", "https://169.254.169.254/model.onnx"])
def test_an_address_that_is_not_asked(tmp_path: Path, uri: str) -> None:
    """Before any connection."""
    assert reason(uri, tmp_path / "m") == Reason.ADDRESS_REFUSED


def test_a_server_that_is_not_trusted(site: Site, tmp_path: Path) -> None:
    """Said at once, with what to do."""
    failed = failure(f"{site.url}/model.onnx", tmp_path / "m")
    assert (failed.reason, "ca.crt" in failed.remedy) == (Reason.UNREACHABLE, True)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_empty_file_is_no_model(site: Site, tmp_path: Path, ranges: bool) -> None:  # noqa: FBT001
    """What an upload leaves that was broken off."""
    site.pages["/model.onnx"] = Page(b"", ranges=ranges)
    assert reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site)) == Reason.FORMAT_UNKNOWN


def test_a_file_beyond_the_limit(site: Site, tmp_path: Path) -> None:
    """Known before it comes."""
    site.pages["/model.onnx"] = Page(BODY)
    limits = replace(QUICK, bytes=1000)
    assert (
        reason(f"{site.url}/model.onnx", tmp_path / "m", secret=ca(site), limits=limits) == Reason.TOO_LARGE
    )
    assert len(site.seen) == 1


def test_a_secret_is_nowhere_in_what_the_program_writes(site: Site, tmp_path: Path) -> None:
    """Neither a password, nor its Base64, nor the signature of a signed address; of a failure as of a success."""
    secret = tmp_path / "secret"
    secret.mkdir()
    planted = "pl4nted/s3cret+value"
    for key, value in (("username", "ann"), ("password", planted), ("ca.crt", site.ca)):
        (secret / key).write_text(f"{value}\n", encoding="utf-8")
    report = tmp_path / "report"
    for path, code in (("/model.onnx", 0), ("/denied", 11), ("/missing", 10)):
        site.pages["/model.onnx"], site.pages["/denied"] = Page(BODY), Page(status=403)
        uri = f"{site.url}{path}?X-Amz-Signature=SIGNED-BY-ME"
        ended = program(uri, tmp_path / "m", "--credentials", str(secret), "--report", str(report))
        assert ended.code == code
        written = ended.said + report.read_text(encoding="ascii")
        for each in (planted, "s3cret", "SIGNED-BY-ME", "YW5uOnBsNG50ZWQvczNjcmV0K3ZhbHVl", "pl4nted%2F"):
            assert each not in written
    assert all("SIGNED-BY-ME" in each.path for each in site.seen)


def test_a_private_authority_need_not_be_perfect(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13, which is in the image, refuses those without key identifiers; the one of these tests has none."""

    def strict() -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr("modelward_fetch.web.httpcore.default_ssl_context", strict)
    site.pages["/model.onnx"] = Page(b"abc")
    fetch(f"{site.url}/model.onnx", tmp_path / "m", secret={"ca.crt": site.ca})
    assert files(tmp_path / "m") == {"model.onnx": b"abc"}
