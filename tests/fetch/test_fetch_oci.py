"""oci:// against a registry in the wire format of the distribution specification."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from modelward_fetch.failures import Reason
from support.fetch import digest_of, failure, fetch, files, reason
from support.fetch_site import Handler, Page, Site
from support.fetch_tar import member, tar

LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range(600))
TITLE = "org.opencontainers.image.title"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Registry:
    """Blobs and manifests by digest, tags; a token asked for by challenge."""

    def __init__(self, site: Site, *, kind: str = "", elsewhere: str = "") -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.faults = Page()
        self._site, self._kind, self._elsewhere = site, kind, elsewhere
        site.apis.append(self._answer)

    def blob(
        self, content: bytes, kind: str = "application/octet-stream", **annotations: str
    ) -> dict[str, Any]:
        """Its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        said: dict[str, Any] = {"mediaType": kind, "digest": digest, "size": len(content)}
        return said | ({"annotations": annotations} if annotations else {})

    def push(self, tag: str, *layers: dict[str, Any]) -> str:
        """The digest of a manifest."""
        return self._push(tag, MANIFEST, {"schemaVersion": 2, "mediaType": MANIFEST, "layers": list(layers)})

    def push_index(self, tag: str, *manifests: dict[str, Any]) -> str:
        """Of an index."""
        return self._push(tag, INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)})

    def _push(self, tag: str, kind: str, manifest: dict[str, Any]) -> str:
        body = json.dumps(manifest).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        self.manifests[tag] = self.manifests[digest] = (kind, body)
        return digest

    def _answer(self, handler: Handler) -> bool:
        path = handler.path.partition("?")[0]
        sent = handler.headers.get("authorization", "")
        if path == "/token":
            known = sent == "Basic YW5uOnBsYW50ZWQ="
            handler.answer(200 if known else 401, {}, json.dumps({"token": "given"}).encode())
        elif self._kind and sent != {"Bearer": "Bearer given", "Basic": "Basic YW5uOnBsYW50ZWQ="}[self._kind]:
            realm = (
                f'{self._kind} realm="{self._site.url}/token",service="registry",scope="repository:a/b:pull"'
            )
            handler.answer(401, {"WWW-Authenticate": realm})
        elif path.startswith("/v2/a/b/manifests/"):
            kind, body = self.manifests.get(path.rpartition("/")[2], ("", b""))
            handler.answer(200 if body else 404, {"Content-Type": kind}, body)
        elif path.startswith("/v2/a/b/blobs/"):
            if self._elsewhere:
                handler.answer(307, {"Location": self._elsewhere})
                return True
            handler.give(self.faults, self.blobs[path.rpartition("/")[2]])
        else:
            return False
        return True


def uri(site: Site, reference: str = ":v1") -> str:
    """Of the repository a/b."""
    return f"oci://localhost:{site.port}/a/b{reference}"


def test_files_that_oras_pushed(plain_site: Site, tmp_path: Path) -> None:
    """By their titles; the tag is resolved to a digest, and the digest fetches the same later."""
    registry = Registry(plain_site)
    digest = registry.push(
        "v1",
        registry.blob(LARGE, **{TITLE: "model.onnx"}),
        registry.blob(b"cat\n", **{TITLE: "deep/labels.txt"}),
    )
    report = fetch(uri(plain_site), tmp_path / "m")
    expected = {"model.onnx": LARGE, "deep/labels.txt": b"cat\n"}
    assert files(tmp_path / "m") == expected
    assert (report.digest, report.identity) == (digest_of(expected), "Pinned")
    assert report.resolved == uri(plain_site, f"@{digest}")
    registry.push("v1", registry.blob(b"other", **{TITLE: "model.onnx"}))
    assert fetch(report.resolved, tmp_path / "n").digest == report.digest


def test_an_image_that_carries_a_model(plain_site: Site, tmp_path: Path) -> None:
    """Layers one over the other, with what a later one removes."""
    registry = Registry(plain_site)
    registry.push(
        "v1",
        registry.blob(tar(("models/a", b"1"), ("models/b", b"2"), ("old/x", b"3")), LAYER),
        registry.blob(tar(("models/a", b"4"), ("models/.wh.b", b""), ("old/.wh..wh..opq", b"")), LAYER),
    )
    fetch(uri(plain_site), tmp_path / "m")
    assert files(tmp_path / "m") == {"models/a": b"4"}


def test_a_layer_with_a_link(plain_site: Site, tmp_path: Path) -> None:
    """As in any archive."""
    registry = Registry(plain_site)
    registry.push("v1", registry.blob(tar(("a", b"1"), member("b", b"2", "/etc")), LAYER))
    assert reason(uri(plain_site), tmp_path / "m") == Reason.UNSAFE_ARCHIVE


def test_an_index_of_platforms(plain_site: Site, tmp_path: Path) -> None:
    """This machine's is taken; the index is what is pinned."""
    registry = Registry(plain_site)
    mine = registry.push("", registry.blob(b"mine", **{TITLE: "x"}))
    other = registry.push("", registry.blob(b"other", **{TITLE: "x"}))
    platforms = [("amd64", mine), ("arm64", mine), ("s390x", other)]
    index = registry.push_index(
        "v1",
        *(
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": 1,
                "platform": {"os": "linux", "architecture": each},
            }
            for each, digest in platforms
        ),
    )
    report = fetch(uri(plain_site), tmp_path / "m")
    assert (files(tmp_path / "m"), report.resolved) == ({"x": b"mine"}, uri(plain_site, f"@{index}"))


@pytest.mark.parametrize("kind", ["Bearer", "Basic"])
def test_a_private_repository(plain_site: Site, tmp_path: Path, kind: str) -> None:
    """By the Docker configuration of a Secret; without it, or with another password, Denied."""
    registry = Registry(plain_site, kind=kind)
    registry.push("v1", registry.blob(b"x", **{TITLE: "x"}))
    host = f"localhost:{plain_site.port}"
    entry = {"auths": {host: {"username": "ann", "password": "planted"}}}
    secret = {".dockerconfigjson": json.dumps(entry)}
    assert fetch(uri(plain_site), tmp_path / "m", secret=secret).files == 1
    wrong = {".dockerconfigjson": json.dumps({"auths": {host: {"auth": "YW5uOndyb25n"}}})}
    for each in ({}, wrong, {".dockerconfigjson": '{"auths": {"other": {"auth": "eA=="}}}'}):
        assert reason(uri(plain_site), tmp_path / "n", secret=each) == Reason.DENIED


def test_every_connection_is_cut(plain_site: Site, tmp_path: Path) -> None:
    """Blobs go on where they ended."""
    registry = Registry(plain_site)
    registry.faults = Page(cut_after=100_000)
    registry.push("v1", registry.blob(LARGE, **{TITLE: "x"}))
    assert fetch(uri(plain_site), tmp_path / "m").transferred == len(LARGE)


def test_wrong_bytes(plain_site: Site, tmp_path: Path) -> None:
    """Of a blob and of a manifest: all is named by its digest."""
    registry = Registry(plain_site)
    layer = registry.blob(LARGE, **{TITLE: "x"})
    digest = registry.push("v1", layer)
    registry.blobs[layer["digest"]] = LARGE[::-1]
    assert reason(uri(plain_site), tmp_path / "m") == Reason.CHECKSUM_MISMATCH
    registry.manifests[digest] = (MANIFEST, b"{}")
    assert reason(uri(plain_site, f"@{digest}"), tmp_path / "m") == Reason.CHECKSUM_MISMATCH


def test_blobs_behind_a_metadata_address(plain_site: Site, tmp_path: Path) -> None:
    """A registry may redirect, but not there."""
    registry = Registry(plain_site, elsewhere="https://169.254.169.254/x")
    registry.push("v1", registry.blob(b"x", **{TITLE: "x"}))
    assert reason(uri(plain_site), tmp_path / "m") == Reason.ADDRESS_REFUSED


def test_what_is_no_model(plain_site: Site, tmp_path: Path) -> None:
    """A layer of an unknown kind, a title that leads elsewhere, a tag that is not there."""
    registry = Registry(plain_site)
    registry.push("v1", registry.blob(b"x", "application/vnd.oci.image.layer.v1.tar+zstd"))
    assert reason(uri(plain_site), tmp_path / "m") == Reason.FORMAT_UNKNOWN
    registry.push("v1", registry.blob(b"x", **{TITLE: "../x"}))
    assert reason(uri(plain_site), tmp_path / "m") == Reason.UNSAFE_NAME
    failed = failure(uri(plain_site, ":v2"), tmp_path / "m")
    assert failed.reason == Reason.NOT_FOUND
