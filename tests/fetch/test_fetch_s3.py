"""s3:// against moto, with users and policies, and against an S3 that misbehaves."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from modelward_fetch.addresses import Guard
from modelward_fetch.failures import Reason
from modelward_fetch.pin import Pin
from modelward_fetch.sources.tunnel import Tunnel
from modelward_fetch.uri import parse
from support.fetch import MEASURING, PART_BYTES, QUICK, digest_of, failure, fetch, files, program, reason
from support.fetch_moto import VERSIONED, Moto
from support.fetch_s3 import Objects
from support.fetch_site import Site

KIB = 1024
LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range((2 * PART_BYTES + 100 * KIB) // KIB))
FOLDER = {"model.onnx": LARGE, "labels.txt": b"cat\n", "odd/a b ü%+=&.txt": b"odd", "empty": b""}


@pytest.fixture(scope="module")
def folder(moto: Moto) -> Moto:
    """A model of several files, and the mark of a folder as consoles make them."""
    for name, content in FOLDER.items():
        moto.put(f"fraud/7/{name}", content)
    moto.put("fraud/77/other", b"of another model")
    return moto


def test_a_folder_with_credentials(folder: Moto, tmp_path: Path) -> None:
    """All of it and nothing of its neighbour, whose name begins alike."""
    report = fetch("s3://models/fraud/7", tmp_path / "m", secret=folder.reader)
    assert files(tmp_path / "m") == FOLDER
    assert (report.digest, report.identity) == (digest_of(FOLDER), "Mutable")
    assert fetch("s3://models/fraud/7/", tmp_path / "m", secret=folder.reader).result == "AlreadyThere"


def test_one_object(folder: Moto, tmp_path: Path) -> None:
    """Under its own name."""
    fetch("s3://models/fraud/7/model.onnx", tmp_path / "m", secret=folder.reader)
    assert files(tmp_path / "m") == {"model.onnx": LARGE}


@pytest.mark.parametrize("uri", ["s3://models/fraud/8", "s3://models/fraud/8/", "s3://no-such-bucket/fraud"])
def test_a_missing_object(folder: Moto, tmp_path: Path, uri: str) -> None:
    """Or folder, or bucket."""
    assert reason(uri, tmp_path / "m", secret=folder.reader) == Reason.NOT_FOUND


def test_wrong_credentials(folder: Moto, tmp_path: Path) -> None:
    """A key that does not exist, a secret that is not its own, a user without the right."""
    for changed in (
        {"AWS_ACCESS_KEY_ID": "AKIANOBODY"},
        {"AWS_SECRET_ACCESS_KEY": "another"},
        folder.stranger,
    ):
        failed = failure("s3://models/fraud/7", tmp_path / "m", secret=folder.reader | changed)
        assert (failed.reason, failed.field) == (Reason.DENIED, "spec.model.secretRef")


def test_the_codes_of_s3_lead_to_a_remedy(folder: Moto, tmp_path: Path) -> None:
    """Not only 403."""
    wrong = folder.reader | {"AWS_SECRET_ACCESS_KEY": "another"}
    failed = failure("s3://models/fraud/7", tmp_path / "m", secret=wrong)
    assert "SignatureDoesNotMatch" in failed.message
    assert "does not belong" in failed.remedy


def test_a_versioned_object_is_pinned(moto: Moto, tmp_path: Path) -> None:
    """Later pods get the same bytes after it was overwritten."""
    moto.put("model.onnx", b"first", VERSIONED)
    uri = f"s3://{VERSIONED}/model.onnx"
    first = fetch(uri, tmp_path / "a", secret=moto.reader)
    assert first.identity == "Pinned"
    assert first.resolved.startswith(f"{uri}?versionId=")
    moto.put("model.onnx", b"second", VERSIONED)
    pin = Pin(resolved=parse(first.resolved), digest=first.digest, listing=first.listing)
    again = fetch(uri, tmp_path / "b", secret=moto.reader, pin=pin)
    assert (again.digest, files(tmp_path / "b")) == (first.digest, {"model.onnx": b"first"})
    assert (first.pinned, first.source_moved) == (False, False)
    assert (again.pinned, again.source_moved) == (True, True), "and says that something else is there by now"
    assert fetch(uri, tmp_path / "c", secret=moto.reader).digest != first.digest
    gone = f"{uri}?versionId=00000000-0000-0000-0000-000000000000"
    assert reason(gone, tmp_path / "d", secret=moto.reader) in {Reason.NOT_FOUND, Reason.UNREACHABLE}


def test_an_overwritten_object_that_nothing_pins(moto: Moto, tmp_path: Path) -> None:
    """ModelChanged for who starts later."""
    moto.put("plain/model.onnx", b"first")
    first = fetch("s3://models/plain", tmp_path / "a", secret=moto.reader)
    pin = Pin(resolved=parse(first.resolved), digest=first.digest, listing=first.listing)
    moto.put("plain/model.onnx", b"other")
    assert reason("s3://models/plain", tmp_path / "b", secret=moto.reader, pin=pin) == Reason.MODEL_CHANGED


def test_the_form_of_kserve_and_what_shells_have(folder: Moto, tmp_path: Path) -> None:
    """The same keys by other names."""
    secret = {
        "awsAccessKeyID": folder.reader["AWS_ACCESS_KEY_ID"],
        "awsSecretAccessKey": folder.reader["AWS_SECRET_ACCESS_KEY"] + "\n",
        "AWS_ENDPOINT_URL": folder.url,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    assert fetch("s3://models/fraud/7/labels.txt", tmp_path / "m", secret=secret).result == "Fetched"


@pytest.mark.parametrize(
    "endpoint", ["http://169.254.169.254", "http://minio.example:9000", "https://user:pass@store.example"]
)
def test_an_endpoint_that_is_not_asked(tmp_path: Path, endpoint: str) -> None:
    """An endpoint is an address of a user's, too."""
    failed = failure("s3://models/x", tmp_path / "m", secret={"AWS_ENDPOINT_URL": endpoint})
    assert failed.reason in {Reason.ADDRESS_REFUSED, Reason.DENIED}
    assert "pass" not in failed.message


def test_what_the_environment_says_of_a_cloud_is_not_used(
    folder: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a Secret, nothing else counts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIANOBODY")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://169.254.169.254")
    assert fetch("s3://models/fraud/7/labels.txt", tmp_path / "m", secret=folder.reader).result == "Fetched"


def test_a_public_bucket(plain_site: Site, tmp_path: Path) -> None:
    """Without credentials requests are not signed."""
    Objects(plain_site, {"m/model.onnx": LARGE})
    fetch("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url})
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    assert all("authorization" not in each.headers for each in plain_site.seen)


def test_every_connection_is_cut(plain_site: Site, tmp_path: Path) -> None:
    """Each part goes on where it ended, and only of the content that was listed."""
    Objects(plain_site, {"m/model.onnx": LARGE}, cut_after=100 * KIB)
    report = fetch("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url})
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    assert report.transferred == len(LARGE)
    ranged = [each for each in plain_site.seen if "range" in each.headers]
    assert all(each.headers["if-match"] for each in ranged)


def test_an_object_that_changes_while_it_is_read(plain_site: Site, tmp_path: Path) -> None:
    """Listed anew; never a mixture."""
    objects = Objects(plain_site, {"m/model.onnx": LARGE}, cut_after=100 * KIB)
    objects.change_after(6, "m/model.onnx", LARGE[::-1])
    fetch("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url})
    assert files(tmp_path / "m") == {"model.onnx": LARGE[::-1]}


def test_a_store_that_stalls(plain_site: Site, tmp_path: Path) -> None:
    """Given up and asked again."""
    Objects(plain_site, {"m/model.onnx": b"x" * KIB * 100}, stall_after=1000, stalls=1)
    limits = replace(QUICK, stall_seconds=0.5)
    fetch("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url}, limits=limits)
    assert files(tmp_path / "m") == {"model.onnx": b"x" * KIB * 100}


def test_100_000_objects(plain_site: Site, tmp_path: Path) -> None:
    """Ten thousand are read of the listing, no more."""
    Objects(plain_site, {f"m/{number:06}": b"x" for number in range(100_000)})
    secret = {"AWS_ENDPOINT_URL": plain_site.url}
    assert reason("s3://models/m/", tmp_path / "m", secret=secret) == Reason.TOO_LARGE
    assert len(plain_site.seen) <= 12


def test_a_listing_of_100_000_takes_less_than_200_mib(plain_site: Site, tmp_path: Path) -> None:
    """Where the limit allows it. Nothing is fetched: the limit of bytes is below what is listed."""
    Objects(plain_site, {f"m/{'long-' * 12}{number:06}": b"x" for number in range(100_000)})
    ended = program(
        "s3://models/m/",
        tmp_path / "m",
        *("--max-files", "200000", "--max-bytes", "99999"),
        prefix=MEASURING,
        AWS_ENDPOINT_URL=plain_site.url,
    )
    assert ended.code == 15
    assert ended.peak_kib < 200 * 1024


@pytest.mark.parametrize("key", ["m/../../etc/passwd", "m//x", "m/a\nb", "m/a", "m/" + "x" * 300])
def test_names_that_become_no_file(plain_site: Site, tmp_path: Path, key: str) -> None:
    """Refused with the name, before anything is written."""
    Objects(plain_site, {key: b"x", "m/a/b": b"y", "m/ok": b"z"})
    secret = {"AWS_ENDPOINT_URL": plain_site.url}
    limits = replace(QUICK, seconds=3)
    assert reason("s3://models/m/", tmp_path / "m", secret=secret, limits=limits) in {
        Reason.UNSAFE_NAME,
        Reason.UNREACHABLE,
    }
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/", "https://169.254.169.254/", "https://[fd00:ec2::254]/"]
)
def test_a_redirect_to_a_metadata_address(plain_site: Site, tmp_path: Path, target: str) -> None:
    """From a store, too."""
    plain_site.apis.append(lambda handler: handler.answer(307, {"Location": target}))
    failed = failure("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url})
    assert failed.reason == Reason.ADDRESS_REFUSED


def test_a_store_by_https_goes_through_the_tunnel(site: Site, tmp_path: Path) -> None:
    """Encrypted from end to end, each connection to an address that was checked."""
    Objects(site, {"m/model.onnx": LARGE}, cut_after=200 * KIB)
    secret = {"AWS_ENDPOINT_URL": site.url, "ca.crt": site.ca}
    fetch("s3://models/m", tmp_path / "m", secret=secret)
    assert files(tmp_path / "m") == {"model.onnx": LARGE}
    site.apis.insert(0, lambda handler: handler.answer(307, {"Location": "https://169.254.169.254/"}))
    assert reason("s3://models/m", tmp_path / "n", secret=secret) == Reason.ADDRESS_REFUSED


def test_the_tunnel_is_nobody_elses(tmp_path: Path) -> None:
    """Without its password, or for another word than CONNECT."""
    tunnel = Tunnel(Guard(), connect_seconds=5)
    try:
        port = int(tunnel.url.rpartition(":")[2])
        for said in (b"CONNECT example.com:443 HTTP/1.1", b"GET http://example.com/ HTTP/1.1", b"\0" * 100):
            with socket.create_connection(("127.0.0.1", port), 5) as asking:
                asking.sendall(said + b"\r\n\r\n")
                assert asking.recv(100).startswith(b"HTTP/1.1 403")
    finally:
        tunnel.close()
