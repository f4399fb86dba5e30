"""Workload identity on AWS: a token of the pod against short-lived keys, by STS (IRSA) or EKS Pod Identity.

obstore's own exchange takes a token file byte by byte, final line break included, and knows no STS on plain http to
this machine, which tests need; what it answers for a wrong role is no more than a status. So these two requests are made
here, and obstore is handed the keys.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from modelward_fetch.addresses import Guard, guard_for, is_loopback, resolve
from modelward_fetch.failures import FetchFailed, Reason, Transient, denied
from modelward_fetch.limits import Limits
from modelward_fetch.redaction import Redactor
from modelward_fetch.web import Answer, Web, retry_after

if TYPE_CHECKING:
    from obstore.store import S3Credential

POD_IDENTITY_HOSTS: Final = frozenset({"169.254.170.23", "169.254.170.2", "fd00:ec2::23"})
"""Where EKS' agent and ECS' agent answer: the only link-local addresses that are ever asked, for an identity alone."""
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")


class Keys:
    """What obstore calls for keys, now and whenever they are about to expire.

    obstore makes a text of an exception that it gets here; the exception itself is kept for who asked obstore.
    """

    def __init__(self, ask: Callable[[], "S3Credential"]) -> None:
        self._ask = ask
        self.problem: FetchFailed | Transient | None = None

    def __call__(self) -> "S3Credential":
        """Fresh ones. Raises FetchFailed, Transient."""
        try:
            keys = self._ask()
        except (FetchFailed, Transient) as problem:
            self.problem = problem
            raise
        self.problem = None
        return keys


def provider(
    environment: Mapping[str, str], region: str, redactor: Redactor, *, ca: str, limits: Limits
) -> Keys:
    """By what the cloud's webhook has set. Raises FetchFailed where it has set nothing."""
    if environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environment.get("AWS_ROLE_ARN"):
        return Keys(lambda: _by_sts(environment, region, redactor, ca, limits))
    if environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return Keys(lambda: _by_agent(environment, redactor, limits))
    raise no_identity(
        "neither AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE nor AWS_CONTAINER_CREDENTIALS_FULL_URI is set"
    )


def no_identity(problem: str) -> FetchFailed:
    """Workload identity was asked for and is not set up."""
    return FetchFailed(
        Reason.DENIED,
        f"the pod has no workload identity: {problem}",
        remedy="Annotate the ServiceAccount, or make the association, as the cloud's manual says; or use a Secret.",
        field="spec.serviceAccountName",
    )


def _by_sts(
    environment: Mapping[str, str], region: str, redactor: Redactor, ca: str, limits: Limits
) -> "S3Credential":
    token = _token(environment["AWS_WEB_IDENTITY_TOKEN_FILE"], redactor)
    url = environment.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com"
    body = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": environment["AWS_ROLE_ARN"],
        "RoleSessionName": environment.get("AWS_ROLE_SESSION_NAME") or "modelward-fetch",
        "WebIdentityToken": token,
    }
    headers = {"content-type": "application/x-www-form-urlencoded"}
    web = Web(guard_for(url), ca=ca, stall_seconds=limits.stall_seconds)
    try:
        with web.send("POST", url.rstrip("/") + "/", headers, urlencode(body).encode()) as answer:
            text = _answered(answer, "STS")
    finally:
        web.close()
    found = {
        name: _element(text, name)
        for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    }
    return _credential(found, redactor)


def _by_agent(environment: Mapping[str, str], redactor: Redactor, limits: Limits) -> "S3Credential":
    url = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    if file := environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        token = _token(file, redactor)
    web = Web(_AgentGuard(loopback=True), stall_seconds=limits.stall_seconds)
    try:
        with web.send("GET", url, {"authorization": token} if token else {}) as answer:
            text = _answered(answer, "the agent of EKS Pod Identity")
    finally:
        web.close()
    try:
        fields = json.loads(text)
        found = {name: str(fields.get(name, "")) for name in ("AccessKeyId", "SecretAccessKey", "Expiration")}
        found["SessionToken"] = str(fields.get("Token", ""))
    except (ValueError, AttributeError) as error:
        raise Transient("the agent of EKS Pod Identity does not answer with JSON") from error
    return _credential(found, redactor)


class _AgentGuard(Guard):
    """The agent's own addresses and this machine, by plain http; nothing else."""

    def check_scheme(self, scheme: str, host: str) -> None:
        """Raises FetchFailed for another place than an agent's."""
        if scheme == "http" and host.strip("[]") not in POD_IDENTITY_HOSTS:
            super().check_scheme(scheme, host)

    def addresses(self, host: str, port: int) -> list[str]:
        """The agent's."""
        if host.strip("[]") in POD_IDENTITY_HOSTS:
            return [host.strip("[]")]
        return [str(each) for each in resolve(host, port) if is_loopback(each)] or super().addresses(
            host, port
        )


def _token(file: str, redactor: Redactor) -> str:
    """Read anew each time, for it is rotated; without the line break that some writers end it with."""
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise no_identity("the token's file cannot be read") from error
    redactor.add(token)
    return token


def _answered(answer: Answer, who: str) -> str:
    text = answer.read().decode(errors="replace")
    if answer.status == 200:
        return text
    if answer.status == 429 or answer.status >= 500:
        raise Transient(f"{who} answers {answer.status}", retry_after=retry_after(answer.headers))
    code = found[1] if (found := _CODE.search(text)) else ""
    raise denied(
        f"{who} gives no keys for this pod: {answer.status} {code}".rstrip(),
        remedy="Check the role's trust policy, or the Pod Identity association, for this ServiceAccount.",
    )


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]+)</{name}>", text)
    return found[1].strip() if found else ""


def _credential(found: Mapping[str, str], redactor: Redactor) -> "S3Credential":
    redactor.add(found["SecretAccessKey"], found["SessionToken"], found["AccessKeyId"])
    if not (found["AccessKeyId"] and found["SecretAccessKey"]):
        raise Transient("the answer of the identity service holds no keys")
    try:
        expires = datetime.fromisoformat(found["Expiration"]).astimezone(UTC)
    except ValueError as error:
        raise Transient("the answer of the identity service does not say when the keys expire") from error
    return {
        "access_key_id": found["AccessKeyId"],
        "secret_access_key": found["SecretAccessKey"],
        "token": found["SessionToken"] or None,
        "expires_at": expires,
    }
