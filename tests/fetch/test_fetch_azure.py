"""az:// against Blob Storage's wire format."""

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from modelward_fetch.failures import Reason
from support.fetch import PART_BYTES, fetch, files, reason
from support.fetch_s3 import etag
from support.fetch_site import Handler, Page, Site

KEY = base64.b64encode(b"planted-key-planted-key").decode()
LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range((2 * PART_BYTES) // 1024))
BLOBS = {"m/model.onnx": LARGE, "m/labels.txt": b"cat\n"}


class Blobs:
    """The container `models` of the account `acc`, whose name is the first part of the path."""

    def __init__(self, site: Site, prefix: str) -> None:
        """`prefix`: what each Authorization, or query, must begin with; empty for a public container."""
        self._prefix = prefix
        self.faults = Page()
        site.apis.append(self._answer)

    def _answer(self, handler: Handler) -> bool:
        split = urlsplit(handler.path)
        if not split.path.startswith("/acc/models"):
            return False
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        sent = handler.headers.get("authorization", "") or f"sig={query.get('sig', '')}"
        if not sent.startswith(self._prefix):
            handler.answer(
                403,
                {"x-ms-error-code": "AuthenticationFailed"},
                b"<Error><Code>AuthenticationFailed</Code></Error>",
            )
            return True
        if query.get("comp") == "list":
            handler.answer(200, {"Content-Type": "application/xml"}, _listed().encode())
            return True
        content = BLOBS.get(unquote(split.path).removeprefix("/acc/models/"))
        if content is None:
            handler.answer(404, {"x-ms-error-code": "BlobNotFound"})
        else:
            handler.give(self.faults, content, etag(content))
        return True


def _listed() -> str:
    said = "".join(
        f"<Blob><Name>{name}</Name><Properties><Last-Modified>Mon, 30 Nov 2026 10:00:00 GMT</Last-Modified>"
        f"<Etag>{etag(content)}</Etag><Content-Length>{len(content)}</Content-Length>"
        f"<Content-Type>x/y</Content-Type></Properties></Blob>"
        for name, content in BLOBS.items()
    )
    return f"<EnumerationResults><Blobs>{said}</Blobs><NextMarker/></EnumerationResults>"


def endpoint(site: Site) -> str:
    """Of the account."""
    return f"{site.url}/acc"


@pytest.mark.parametrize(
    ("prefix", "given"),
    [
        ("SharedKey acc:", {"AZURE_STORAGE_ACCOUNT_KEY": KEY}),
        ("sig=planted", {"AZURE_STORAGE_SAS_TOKEN": "?sv=2024&sig=planted"}),
        ("", {}),
    ],
)
def test_the_forms_of_credentials(
    plain_site: Site, tmp_path: Path, prefix: str, given: dict[str, str]
) -> None:
    """Account key, SAS, none."""
    Blobs(plain_site, prefix)
    secret = {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ENDPOINT": endpoint(plain_site)}
    fetch("az://models/m", tmp_path / "m", secret=secret | given)
    assert files(tmp_path / "m") == {"model.onnx": LARGE, "labels.txt": b"cat\n"}
    if prefix:
        assert reason("az://models/m", tmp_path / "n", secret=secret) == Reason.DENIED


def test_a_connection_string(plain_site: Site, tmp_path: Path) -> None:
    """As the portal shows it."""
    Blobs(plain_site, "SharedKey acc:")
    text = (
        f"DefaultEndpointsProtocol=http;AccountName=acc;AccountKey={KEY};BlobEndpoint={endpoint(plain_site)}"
    )
    secret = {"AZURE_STORAGE_CONNECTION_STRING": text}
    fetch("az://models/m/model.onnx", tmp_path / "m", secret=secret)
    assert files(tmp_path / "m") == {"model.onnx": LARGE}


def test_workload_identity(site: Site, plain_site: Site, tmp_path: Path) -> None:
    """The projected token against a token of Entra ID, which the store gets."""
    token = tmp_path / "token"
    token.write_text("eyJ.planted", encoding="ascii")
    bodies: list[dict[str, list[str]]] = []

    def answer(handler: Handler) -> bool:
        if handler.command != "POST":
            return False
        bodies.append(parse_qs(handler.body().decode()))
        said = {"access_token": "planted-token", "expires_in": 3600, "token_type": "Bearer"}
        handler.answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())
        return True

    site.apis.append(answer)
    Blobs(plain_site, "Bearer planted-token")
    secret = {
        "AZURE_STORAGE_ACCOUNT_NAME": "acc",
        "AZURE_STORAGE_ENDPOINT": endpoint(plain_site),
        "ca.crt": site.ca,
    }
    identity = {
        "AZURE_CLIENT_ID": "client",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_FEDERATED_TOKEN_FILE": str(token),
        "AZURE_AUTHORITY_HOST": site.url,
    }
    fetch("az://models/m", tmp_path / "m", secret=secret, identity=identity)
    assert bodies[0]["client_assertion"] == ["eyJ.planted"]


def test_a_client_secret_is_exchanged_for_a_token(site: Site, plain_site: Site, tmp_path: Path) -> None:
    """By the tenant's token endpoint, of a cloud of its own if the Secret names one; the store gets the token alone."""
    bodies: list[dict[str, list[str]]] = []

    def answer(handler: Handler) -> bool:
        if not handler.path.startswith("/tenant-one/oauth2/v2.0/token"):
            return False
        bodies.append(parse_qs(handler.body().decode()))
        said = {"access_token": "planted-token", "expires_in": 3600, "token_type": "Bearer"}
        handler.answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())
        return True

    site.apis.append(answer)
    Blobs(plain_site, "Bearer planted-token")
    secret = {
        "AZURE_STORAGE_ACCOUNT_NAME": "acc",
        "AZURE_STORAGE_ENDPOINT": endpoint(plain_site),
        "AZURE_CLIENT_ID": "client-one",
        "AZURE_TENANT_ID": "tenant-one",
        "AZURE_CLIENT_SECRET": "planted-secret",
        "AZURE_AUTHORITY_HOST": site.url,
        "ca.crt": site.ca,
    }
    fetch("az://models/m", tmp_path / "m", secret=secret)
    assert files(tmp_path / "m") == {"model.onnx": LARGE, "labels.txt": b"cat\n"}
    assert bodies[0]["client_secret"] == ["planted-secret"]


def test_a_token_endpoint_that_is_no_public_address_is_not_asked(plain_site: Site, tmp_path: Path) -> None:
    """An address in a Secret is checked like the one of a store: the tunnel connects to none that is not."""
    secret = {
        "AZURE_STORAGE_ACCOUNT_NAME": "acc",
        "AZURE_STORAGE_ENDPOINT": endpoint(plain_site),
        "AZURE_CLIENT_ID": "client-one",
        "AZURE_TENANT_ID": "tenant-one",
        "AZURE_CLIENT_SECRET": "planted-secret",
        "AZURE_AUTHORITY_HOST": "https://169.254.169.254",
    }
    assert reason("az://models/m", tmp_path / "m", secret=secret) == Reason.ADDRESS_REFUSED


def test_every_connection_is_cut(plain_site: Site, tmp_path: Path) -> None:
    """And goes on."""
    blobs = Blobs(plain_site, "")
    blobs.faults = Page(cut_after=100_000)
    secret = {"AZURE_STORAGE_ACCOUNT_NAME": "acc", "AZURE_STORAGE_ENDPOINT": endpoint(plain_site)}
    assert fetch("az://models/m", tmp_path / "m", secret=secret).transferred == len(LARGE) + 4


def test_without_an_account(tmp_path: Path) -> None:
    """The address does not name it."""
    assert reason("az://models/m", tmp_path / "m") == Reason.DENIED
