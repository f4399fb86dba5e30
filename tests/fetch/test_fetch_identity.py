"""Workload identity against local endpoints in the clouds' wire formats: tokens exchanged, and what the store then sees."""

import base64
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from modelward_fetch.failures import Reason
from support.fetch import failure, fetch, files, reason
from support.fetch_s3 import Objects
from support.fetch_site import Handler, Site

STS = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    "<AccessKeyId>ASIAGIVEN</AccessKeyId><SecretAccessKey>planted-key</SecretAccessKey>"
    "<SessionToken>planted-session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
    "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)
AGENT = {
    "AccessKeyId": "ASIAGIVEN",
    "SecretAccessKey": "planted-key",
    "Token": "planted-session",
    "Expiration": "2099-01-01T00:00:00Z",
}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A projected token, with the line break that some writers end it with."""
    path = tmp_path / "token"
    path.write_text("eyJ.planted.token\n", encoding="ascii")
    return path


def irsa(url: str, token: Path) -> dict[str, str]:
    """What EKS' webhook sets."""
    return {
        "AWS_ROLE_ARN": "arn:aws:iam::1:role/reader",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ENDPOINT_URL_STS": url,
        "AWS_REGION": "eu-central-1",
    }


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_irsa(site: Site, plain_site: Site, tmp_path: Path, token: Path, scheme: str) -> None:
    """The token goes to STS, the keys sign, and nothing else is asked."""
    sts = site if scheme == "https" else plain_site
    bodies: list[dict[str, list[str]]] = []

    def answer(handler: Handler) -> bool:
        if handler.command != "POST":
            return False
        bodies.append(parse_qs(handler.body().decode()))
        handler.answer(200, {"Content-Type": "text/xml"}, STS.encode())
        return True

    sts.apis.append(answer)
    Objects(plain_site, {"m/model.onnx": b"abc"})
    secret = {"AWS_ENDPOINT_URL": plain_site.url, "ca.crt": site.ca}
    fetch("s3://models/m", tmp_path / "m", secret=secret, identity=irsa(sts.url, token))
    assert files(tmp_path / "m") == {"model.onnx": b"abc"}
    assert bodies[0]["WebIdentityToken"] == ["eyJ.planted.token"]
    asked = [each.headers for each in plain_site.seen if each.method != "POST"]
    assert all("Credential=ASIAGIVEN/" in each["authorization"] for each in asked)
    assert all(each["x-amz-security-token"] == "planted-session" for each in asked)


def test_a_role_that_does_not_trust_the_account(plain_site: Site, tmp_path: Path, token: Path) -> None:
    """The code of STS, and what to check."""
    body = (
        b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>planted</Message></Error></ErrorResponse>"
    )
    plain_site.apis.append(lambda handler: handler.answer(403, {}, body))
    secret = {"AWS_ENDPOINT_URL": plain_site.url}
    failed = failure("s3://models/m", tmp_path / "m", secret=secret, identity=irsa(plain_site.url, token))
    assert (failed.reason, "AccessDenied" in failed.message) == (Reason.DENIED, True)
    assert "trust policy" in failed.remedy
    assert "planted" not in failed.message


def test_eks_pod_identity(plain_site: Site, tmp_path: Path, token: Path) -> None:
    """The token goes to the agent as it is, without its line break."""
    sent: list[str] = []

    def answer(handler: Handler) -> bool:
        if handler.path != "/v1/credentials":
            return False
        sent.append(handler.headers.get("authorization", ""))
        handler.answer(200, {}, json.dumps(AGENT).encode())
        return True

    plain_site.apis.append(answer)
    Objects(plain_site, {"m/model.onnx": b"abc"})
    identity = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{plain_site.url}/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
    }
    fetch("s3://models/m", tmp_path / "m", secret={"AWS_ENDPOINT_URL": plain_site.url}, identity=identity)
    assert sent[0] == "eyJ.planted.token"
    assert any(each.headers.get("x-amz-security-token") == "planted-session" for each in plain_site.seen)


@pytest.mark.parametrize("uri", ["http://169.254.169.254/latest", "http://example.com/x"])
def test_the_agent_is_where_agents_are(tmp_path: Path, uri: str) -> None:
    """A variable does not open the way to a metadata service."""
    identity = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri}
    assert reason("s3://models/m", tmp_path / "m", identity=identity) == Reason.ADDRESS_REFUSED


@pytest.mark.parametrize("uri", ["s3://models/m", "az://models/m"])
def test_an_identity_that_is_not_set_up(tmp_path: Path, uri: str) -> None:
    """What the cloud's webhook should have set."""
    failed = failure(uri, tmp_path / "m", secret={"AZURE_STORAGE_ACCOUNT_NAME": "a"}, identity={})
    assert (failed.reason, failed.field) == (Reason.DENIED, "spec.serviceAccountName")


def test_a_secret_comes_before_the_identity(plain_site: Site, tmp_path: Path, token: Path) -> None:
    """Nothing is exchanged."""
    Objects(plain_site, {"m/model.onnx": b"abc"})
    secret = {
        "AWS_ENDPOINT_URL": plain_site.url,
        "AWS_ACCESS_KEY_ID": "AKIAMINE",
        "AWS_SECRET_ACCESS_KEY": "planted",
    }
    fetch("s3://models/m", tmp_path / "m", secret=secret, identity=irsa(plain_site.url, token))
    assert all("AKIAMINE" in each.headers["authorization"] for each in plain_site.seen)


def test_gke(plain_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata server gives a token, which the store gets."""
    monkeypatch.setenv("GCE_METADATA_HOST", f"localhost:{plain_site.port}")
    flavours: list[str] = []

    def answer(handler: Handler) -> bool:
        if "/computeMetadata/" not in handler.path:
            return False
        flavours.append(handler.headers.get("metadata-flavor", ""))
        body = {"access_token": "planted-token", "expires_in": 3600, "token_type": "Bearer"}
        handler.answer(
            200, {"Content-Type": "application/json", "Metadata-Flavor": "Google"}, json.dumps(body).encode()
        )
        return True

    plain_site.apis.append(answer)
    Objects(plain_site, {"m/model.onnx": b"abc"})
    secret = {"STORAGE_EMULATOR_HOST": plain_site.url}
    fetch("gs://models/m", tmp_path / "m", secret=secret, identity={})
    assert files(tmp_path / "m") == {"model.onnx": b"abc"}
    assert "Google" in flavours
    asked = [each for each in plain_site.seen if each.path.startswith("/models")]
    assert all(each.headers.get("authorization") == "Bearer planted-token" for each in asked)


def test_a_public_bucket_of_google(plain_site: Site, tmp_path: Path) -> None:
    """Nobody is asked for a token."""
    Objects(plain_site, {"m/model.onnx": b"abc"})
    fetch("gs://models/m", tmp_path / "m", secret={"STORAGE_EMULATOR_HOST": plain_site.url})
    assert all("authorization" not in each.headers for each in plain_site.seen)


def test_a_google_key_that_names_a_server_of_its_own(tmp_path: Path) -> None:
    """Checked like an endpoint."""
    key = {"type": "service_account", "gcs_base_url": "http://169.254.169.254", "private_key": "planted"}
    failed = failure("gs://models/m", tmp_path / "m", secret={"key.json": json.dumps(key)})
    assert failed.reason in {Reason.ADDRESS_REFUSED, Reason.DENIED}
    assert reason("gs://models/m", tmp_path / "m", secret={"key.json": "planted{"}) == Reason.DENIED


def google_key(tmp_path: Path) -> tuple[dict[str, str], RSAPublicKey]:
    """The JSON key of a service account, as Google's console gives it, and what belongs to its private key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    key = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "key-one",
        "private_key": text,
        "client_email": "reader@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return key, private.public_key()


def test_a_google_key_signs_for_its_service_account(plain_site: Site, tmp_path: Path) -> None:
    """The store gets a token that the key has signed: nobody else is asked for one."""
    key, public = google_key(tmp_path)
    Objects(plain_site, {"m/model.onnx": b"abc"})
    secret = {"STORAGE_EMULATOR_HOST": plain_site.url, "credentials.json": json.dumps(key)}
    fetch("gs://models/m", tmp_path / "m", secret=secret)
    assert files(tmp_path / "m") == {"model.onnx": b"abc"}
    tokens = {each.headers["authorization"].removeprefix("Bearer ") for each in plain_site.seen}
    for token in tokens:
        signed, _, signature = token.rpartition(".")
        public.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(_decoded(signed.partition(".")[2]))
        assert claims["iss"] == claims["sub"] == key["client_email"]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_google_key_is_nowhere_in_a_failure(plain_site: Site, tmp_path: Path) -> None:
    """The store says no; the key is not in what is said."""
    key, _ = google_key(tmp_path)

    def refuses(handler: Handler) -> bool:
        handler.answer(403, {}, b"no")
        return True

    plain_site.apis.append(refuses)
    secret = {"STORAGE_EMULATOR_HOST": plain_site.url, "key.json": json.dumps(key)}
    failed = failure("gs://models/m", tmp_path / "m", secret=secret)
    assert failed.reason == Reason.DENIED
    assert key["private_key"][60:120] not in f"{failed.message} {failed.remedy}"
