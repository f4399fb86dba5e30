"""How each cloud's store is reached: endpoint, region, and the first kind of credentials that there are.

obstore would take all of that from the environment, too. It must not: what counts is what the caller gave, and the
address of a metadata service is not asked unless the workload's identity was asked for.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.store import AzureStore, GCSStore, S3Store

from modelward_fetch.addresses import Guard, guard_for, names_loopback
from modelward_fetch.credentials import Credentials
from modelward_fetch.failures import FetchFailed, Reason, denied
from modelward_fetch.limits import Limits
from modelward_fetch.sources import aws_identity
from modelward_fetch.sources.aws_identity import Keys
from modelward_fetch.sources.objects import RETRY, ObjectSource, client_options, through
from modelward_fetch.sources.tunnel import Tunnel
from modelward_fetch.uri import Location

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, S3Config

_OURS_ALONE: Final = ("AWS_", "AZURE_", "GOOGLE_", "GCP_", "GCS_", "OBJECT_STORE_")
_NOBODY: Final = "no credentials were given"
_GOOGLE_METADATA: Final = ("metadata.google.internal", "169.254.169.254", "metadata")
"""Asked without the tunnel, when the identity of a pod on GKE is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a store is reached with."""

    credentials: Credentials
    limits: Limits
    workload: bool
    """Whether the pod's own identity may be used."""
    plain_hosts: frozenset[str]
    environment: Mapping[str, str]
    """Of the process: where a cloud's webhook says how its identity is had."""


def object_source(at: Location, access: Access) -> ObjectSource:
    """The source for s3, gs or az."""
    way = {"s3": _s3, "gs": _gs, "az": _az}[at.scheme](at, access)
    host = urlsplit(way.endpoint).hostname or ""
    tunnel = Tunnel(
        Guard(plain_hosts=access.plain_hosts, loopback=names_loopback(host)),
        connect_seconds=min(access.limits.stall_seconds, 10.0),
    )
    access.credentials.redactor.add(tunnel.password)
    metadata = _GOOGLE_METADATA if at.scheme == "gs" and way.as_workload else ()
    through(way.options, tunnel, [*([host] if _is_plain(way.endpoint) else []), *metadata])
    return ObjectSource(
        at, _connecting(way, access), access.limits, who=way.who, tunnel=tunnel, keys=way.keys
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a store is reached."""

    make: Callable[[], "ObjectStore"]
    options: "ClientConfig"
    """What `make` uses, completed afterwards."""
    endpoint: str
    who: str
    """As whom, for people."""
    as_workload: bool = False
    keys: Keys | None = None


def _s3(at: Location, access: Access) -> _Way:
    given = access.credentials
    endpoint = given["aws_endpoint"]
    region = given["aws_region"] or access.environment.get("AWS_REGION", "") or "us-east-1"
    config: S3Config = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    keys, who = None, _NOBODY
    if given["aws_access_key_id"]:
        config["access_key_id"] = given["aws_access_key_id"]
        config["secret_access_key"] = given["aws_secret_access_key"]
        if given["aws_session_token"]:
            config["session_token"] = given["aws_session_token"]
        who = "with the key of the Secret"
    elif access.workload:
        keys = aws_identity.provider(
            access.environment, region, given.redactor, ca=given.ca_bundle(), limits=access.limits
        )
        who = "as the pod's identity"
    else:
        config["skip_signature"] = True
    options = client_options(access.limits, given.ca_bundle(), plain=_is_plain(endpoint))

    def make() -> S3Store:
        return S3Store(
            at.authority, config=config, client_options=options, retry_config=RETRY, credential_provider=keys
        )

    return _Way(make=make, options=options, endpoint=endpoint, who=who, keys=keys)


def _gs(at: Location, access: Access) -> _Way:
    given = access.credentials
    config: GCSConfig = {}
    endpoint = given["google_endpoint"]
    key = given["google_json"] or _google_file(given["google_file"])
    who, as_workload = _NOBODY, False
    if key:
        key, written = _without_endpoint(key)
        endpoint = endpoint or written
        config["service_account_key"] = key
        given.redactor.add(key, *_private_key(key))
        who = "with the service account of the Secret"
    elif access.workload:
        who, as_workload = "as the pod's identity", True
    else:
        config["skip_signature"] = True
    if endpoint:
        config["base_url"] = endpoint.rstrip("/")
    # The metadata service of Google's clouds is asked by plain http.
    options = client_options(access.limits, given.ca_bundle(), plain=_is_plain(endpoint) or access.workload)

    def make() -> GCSStore:
        return GCSStore(at.authority, config=config, client_options=options, retry_config=RETRY)

    return _Way(make=make, options=options, endpoint=endpoint, who=who, as_workload=as_workload)


def _az(at: Location, access: Access) -> _Way:
    given = access.credentials
    connection = _connection(given["azure_connection"])
    account = given["azure_account"] or connection.get("accountname", "")
    endpoint = given["azure_endpoint"] or connection.get("blobendpoint", "")
    if not account:
        raise denied(
            "the storage account is not known: az://container/path does not name it",
            remedy="Put AZURE_STORAGE_ACCOUNT_NAME, or a connection string, into the Secret.",
        )
    config: AzureConfig = {"account_name": account}
    key = given["azure_key"] or connection.get("accountkey", "")
    sas = given["azure_sas"] or connection.get("sharedaccesssignature", "")
    given.redactor.add(key, sas)
    who = "with the credentials of the Secret"
    if key:
        config["account_key"] = key
    elif sas:
        config["sas_key"] = sas.removeprefix("?")
    elif given["azure_client_secret"]:
        config["client_id"], config["tenant_id"] = given["azure_client_id"], given["azure_tenant_id"]
        config["client_secret"] = given["azure_client_secret"]
        if given["azure_authority_uri"]:
            config["authority_host"] = given["azure_authority_uri"].rstrip("/")
    elif access.workload:
        config |= _azure_workload(access.environment)
        who = "as the pod's identity"
    else:
        config["skip_signature"] = True
        who = _NOBODY
    if endpoint:
        config["endpoint"] = endpoint.rstrip("/")
    options = client_options(access.limits, given.ca_bundle(), plain=_is_plain(endpoint))

    def make() -> AzureStore:
        return AzureStore(at.authority, config=config, client_options=options, retry_config=RETRY)

    return _Way(make=make, options=options, endpoint=endpoint, who=who)


def _connecting(way: _Way, access: Access) -> Callable[[], "ObjectStore"]:
    def connect() -> "ObjectStore":
        _check_endpoint(way.endpoint, access)
        with _bare_environment():
            try:
                return way.make()
            except Exception as error:
                raise denied(
                    "the credentials cannot be used as they are",
                    remedy="Check the form of each value in the Secret; docs/fetch.md lists them.",
                ) from error

    return connect


def _azure_workload(environment: Mapping[str, str]) -> "AzureConfig":
    names = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE")
    if missing := [name for name in names if not environment.get(name)]:
        raise no_identity(f"Azure's webhook has not set {', '.join(missing)}")
    client, tenant, file = (environment[name] for name in names)
    config: AzureConfig = {"client_id": client, "tenant_id": tenant, "federated_token_file": file}
    if authority := environment.get("AZURE_AUTHORITY_HOST"):
        config["authority_host"] = authority.rstrip("/")
    return config


def no_identity(problem: str) -> FetchFailed:
    """Workload identity was asked for and is not set up."""
    return aws_identity.no_identity(problem)


def _google_file(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8") if path else ""
    except OSError as error:
        raise denied(
            f"GOOGLE_APPLICATION_CREDENTIALS names a file that cannot be read: {error.strerror}",
            remedy="Name the JSON key of a service account.",
        ) from error


def _without_endpoint(key: str) -> tuple[str, str]:
    """A key may name a server of its own, which would not be checked: taken out, and checked as an endpoint."""
    try:
        fields = json.loads(key)
        endpoint = str(fields.pop("gcs_base_url", ""))
    except (ValueError, AttributeError, TypeError) as error:
        raise denied(
            "the key of the Google service account is no JSON object",
            remedy="Put the key file, as it was downloaded, into the Secret.",
        ) from error
    return json.dumps(fields), endpoint


def _private_key(key: str) -> list[str]:
    fields = json.loads(key)
    return [
        str(fields[name])
        for name in ("private_key", "private_key_id", "client_secret", "refresh_token")
        if name in fields
    ]


def _connection(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    found = {name.strip().lower(): value.strip() for name, _, value in pairs if value}
    if "blobendpoint" not in found and (suffix := found.get("endpointsuffix")) and "accountname" in found:
        found["blobendpoint"] = f"https://{found['accountname']}.blob.{suffix}"
    return found


def _is_plain(endpoint: str) -> bool:
    return urlsplit(endpoint).scheme == "http"


def _check_endpoint(endpoint: str, access: Access) -> None:
    """An endpoint is a user's address like any other. Raises FetchFailed, Transient."""
    if not endpoint:
        return
    split = urlsplit(endpoint)
    if not split.hostname or split.username is not None:
        raise FetchFailed(
            Reason.DENIED,
            "the endpoint in the Secret is no address",
            remedy="Write it as https://host:port.",
            field="spec.model.secretRef",
        )
    guard = guard_for(endpoint, access.plain_hosts)
    guard.addresses(split.hostname, split.port or (80 if split.scheme == "http" else 443))


@contextmanager
def _bare_environment() -> Iterator[None]:
    """What a store is made with is what it is given: its constructor finds no variable of a cloud."""
    hidden = {name: value for name, value in os.environ.items() if name.upper().startswith(_OURS_ALONE)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
