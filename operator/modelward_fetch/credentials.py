"""Credentials in the forms that users have: keys of a Secret mounted as a folder, or variables of a shell.

In a pod the Secret of `spec.model.secretRef` is a folder with one file a key, and the environment is not asked. Without
such a folder, on a laptop, the same names are read from the environment. Names of other tools (KServe, the clouds' own
command lines) are understood beside the first name of each row.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from modelward_fetch.failures import FetchFailed, Reason
from modelward_fetch.redaction import Redactor

_NOTHING: Final[Mapping[str, str]] = {}
LARGEST_BYTES: Final = 1024 * 1024
"""Of a Secret's value, as Kubernetes has it."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "aws_access_key_id": ("AWS_ACCESS_KEY_ID", "awsAccessKeyID"),
    "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY", "awsSecretAccessKey"),
    "aws_session_token": ("AWS_SESSION_TOKEN",),
    "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "aws_endpoint": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "google_json": ("gcloud-application-credentials.json", "credentials.json", "key.json"),
    "google_file": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "google_endpoint": ("STORAGE_EMULATOR_HOST",),
    "azure_connection": ("AZURE_STORAGE_CONNECTION_STRING",),
    "azure_account": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"),
    "azure_key": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY"),
    "azure_sas": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
    "azure_client_id": ("AZURE_CLIENT_ID", "AZ_CLIENT_ID"),
    "azure_client_secret": ("AZURE_CLIENT_SECRET", "AZ_CLIENT_SECRET"),
    "azure_tenant_id": ("AZURE_TENANT_ID", "AZ_TENANT_ID"),
    "azure_authority_uri": ("AZURE_AUTHORITY_HOST",),
    "azure_endpoint": ("AZURE_STORAGE_ENDPOINT",),
    "hf_token": ("HF_TOKEN",),
    "hf_endpoint": ("HF_ENDPOINT",),
    "mlflow_uri": ("MLFLOW_TRACKING_URI",),
    "mlflow_username": ("MLFLOW_TRACKING_USERNAME",),
    "mlflow_password": ("MLFLOW_TRACKING_PASSWORD",),
    "mlflow_token": ("MLFLOW_TRACKING_TOKEN",),
    "docker_config": (".dockerconfigjson", "config.json"),
    "username": ("username",),
    "password": ("password",),
    "token": ("token",),
    "ca": ("ca.crt", "ca-bundle.crt"),
    "ca_file": ("SSL_CERT_FILE",),
}
_NOT_SECRET: Final = {
    "aws_region",
    *(name for name in NAMES if name.endswith(("_endpoint", "_uri", "_file", "_id"))),
    *("azure_account", "ca", "username", "mlflow_username"),
} - {"aws_access_key_id"}


class Credentials:
    """What was given, under one name for each thing. Its text shows nothing."""

    def __init__(self, values: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self._values: dict[str, str] = {}
        self.redactor = redactor or Redactor()
        for name, keys in NAMES.items():
            found = next((values[key].strip() for key in keys if values.get(key, "").strip()), "")
            self._values[name] = found
            if name not in _NOT_SECRET:
                self.redactor.add(found)

    @classmethod
    def from_folder(
        cls, folder: Path, redactor: Redactor | None = None, defaults: Mapping[str, str] = _NOTHING
    ) -> "Credentials":
        """The files of a mounted Secret, before `defaults`. Raises FetchFailed if it cannot be read, or is empty."""
        try:
            files = {
                path.name: path.read_bytes()[: LARGEST_BYTES + 1]
                for path in folder.iterdir()
                if path.is_file()
            }
            values = {name: content.decode() for name, content in files.items()}
        except OSError as error:
            raise _unreadable(f"the credentials cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise _unreadable("a value of the credentials is not UTF-8") from error
        if any(len(content) > LARGEST_BYTES for content in files.values()):
            raise _unreadable("a value of the credentials is larger than 1 MiB")
        if not files:  # a Secret that is optional for the kubelet, so that this can be said
            raise _unreadable("the Secret with the credentials does not exist, or is empty")
        return cls({**defaults, **values}, redactor)

    @classmethod
    def from_environment(
        cls,
        redactor: Redactor | None = None,
        environment: Mapping[str, str] = os.environ,
        defaults: Mapping[str, str] = _NOTHING,
    ) -> "Credentials":
        """The variables of a shell, and Docker's configuration and the hub's token where their tools keep them."""
        values = {**defaults, **environment}
        docker = Path(environment.get("DOCKER_CONFIG") or Path.home() / ".docker") / "config.json"
        hub = Path(environment.get("HF_HOME") or Path.home() / ".cache" / "huggingface") / "token"
        for key, path in ((".dockerconfigjson", docker), ("HF_TOKEN", hub)):
            if key not in values and path.is_file():
                values[key] = path.read_bytes().decode(
                    errors="replace"
                )  # refused where it is needed, if at all
        shell_only = {"username", "password", "token"}  # too common as names of variables
        return cls({key: value for key, value in values.items() if key not in shell_only}, redactor)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def ca_bundle(self) -> str:
        """Certificates in PEM to trust beside the system's; empty for none."""
        if self["ca"] or not self["ca_file"]:
            return self["ca"]
        try:
            return Path(self["ca_file"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def basic(self, username: str = "username", password: str = "password") -> str:  # noqa: S107 - names of values
        """Header Authorization from a user name and password; empty without them."""
        if not self[password]:
            return ""
        return basic(f"{self[username]}:{self[password]}", self.redactor)

    def registry(self, host: str) -> str:
        """`user:password` for a registry, from Docker's configuration or the user name and password."""
        auths = self._auths()
        names = {host, f"https://{host}", f"https://{host}/v1/", f"https://{host}/v2/"}
        if host in {"registry-1.docker.io", "docker.io"}:
            names |= {"docker.io", "https://index.docker.io/v1/", "index.docker.io"}
        entry = next((auths[name] for name in names if _holds_pair(auths.get(name))), None)
        if entry is None:
            return f"{self['username']}:{self['password']}" if self["password"] else ""
        pair = _pair(entry)
        self.redactor.add(pair, pair.partition(":")[2])
        return pair

    def _auths(self) -> dict[str, Any]:
        if not self["docker_config"]:
            return {}
        try:
            auths = json.loads(self["docker_config"]).get("auths", {})
        except (ValueError, AttributeError) as error:
            raise _unreadable("the Docker configuration is no JSON object") from error
        return auths if isinstance(auths, dict) else {}


def basic(pair: str, redactor: Redactor) -> str:
    """Header Authorization of `user:password`."""
    encoded = base64.b64encode(pair.encode()).decode()
    redactor.add(encoded)
    return f"Basic {encoded}"


def _holds_pair(entry: Any) -> bool:
    """Not where a credential helper keeps it, as Docker Desktop does: it writes `{}`."""
    return entry is not None and (
        not isinstance(entry, dict) or bool(entry.get("auth") or "username" in entry)
    )


def _pair(entry: Any) -> str:
    try:
        if entry.get("auth"):
            return base64.b64decode(entry["auth"], validate=True).decode()
        return f"{entry['username']}:{entry['password']}"
    except (AttributeError, KeyError, TypeError, binascii.Error, UnicodeDecodeError) as error:
        raise _unreadable("the Docker configuration's entry for this registry cannot be read") from error


def _unreadable(problem: str) -> FetchFailed:
    return FetchFailed(
        Reason.DENIED,
        problem,
        remedy="Check that the Secret exists and has the keys, in the form, that docs/fetch.md lists.",
        field="spec.model.secretRef",
    )
