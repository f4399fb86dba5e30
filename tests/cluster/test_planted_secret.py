"""A random token in every place where secrets are, and a search of all that the operator writes and says.

At the lowest log level, in both formats, while a metric source shows the token in every way an answer has.
"""

import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from support.echoing_source import EchoingSource, echoing_source
from support.kubectl import Kubectl
from support.models import FAKE_IMAGE, KIND, fake_model, status, wait_ready, wait_reason
from support.operator import OperatorProcess
from support.waiting import until

TOKEN = secrets.token_hex(16)
NEEDLES = (TOKEN, base64.b64encode(TOKEN.encode()).decode().rstrip("="))
ANSWERS = 6
"""More than the source has ways to fail."""
KEY = {"name": "planted", "key": "token"}
ANALYSIS = {
    "source": "telltale",
    "intervalSeconds": 5,
    "metrics": [{"name": "errors", "kind": "Ratio", "hits": "errors_total", "total": "requests_total"}],
}


@pytest.fixture(scope="module")
def source() -> Iterator[EchoingSource]:
    """A metric source that shows the token."""
    with echoing_source(TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def operator(
    credentials: Path, source: EchoingSource, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator, with the token in a file that its settings name, reporting all it can."""
    place = tmp_path_factory.mktemp("planted")
    (place / "token").write_text(TOKEN, encoding="ascii")
    sources = [{"name": "telltale", "url": source.url, "tokenFile": str(place / "token"), "delaySeconds": 0}]
    settings = place / "settings.yaml"
    settings.write_text(yaml.safe_dump({"metrics": {"sources": sources}}), encoding="utf-8")
    process = OperatorProcess(credentials, place, f"--settings={settings}", "--log-level=DEBUG")
    process.start()
    try:
        yield process
    finally:
        process.stop()


def reader(version: str) -> dict[str, Any]:
    """A model that is given the token in every way there is."""
    env = [{"name": "PASSWORD", "valueFrom": {"secretKeyRef": KEY}}]
    return fake_model(
        "reader",
        version=version,
        runtime={"image": FAKE_IMAGE, "env": env},
        imagePullSecrets=[{"name": "planted"}],
        rollout={"steps": [{"weightPercent": 50}]},
        analysis=ANALYSIS,
    )


def test_the_token_is_nowhere(kubectl: Kubectl, operator: OperatorProcess, source: EchoingSource) -> None:
    """A rollout is judged by the telltale source, in vain; then all is searched that the namespace holds."""
    kubectl("create", "secret", "generic", "planted", f"--from-literal=token={TOKEN}")
    kubectl.apply(reader("1"))
    wait_ready(kubectl, "reader")
    kubectl.apply(reader("2"))
    until(lambda: "telltale" in json.dumps(status(kubectl, "reader")), "status shows the metric source")
    until(lambda: len(source.authorizations) > ANSWERS, "the source has failed in every way")
    text = operator.text()
    operator.stop()
    operator.start("--log-format=json")
    asked = len(source.authorizations)
    until(lambda: len(source.authorizations) > asked, "the source is asked once more")
    fetched = {"version": "1", "uri": "s3://models/f", "secretRef": {"name": "planted"}}
    kubectl.apply(fake_model("fetching", model=fetched))
    wait_reason(kubectl, "fetching", "FetchNotConfigured")

    assert set(source.authorizations) == {f"Bearer {TOKEN}"}
    found = {
        "log as text": text,
        "log as JSON": operator.text(),
        "metrics": httpx.get(operator.url("metrics"), trust_env=False).text,
        "objects": _everything(kubectl),
    }
    assert "ControllerRevision" in found["objects"]
    assert [place for place, what in found.items() if any(needle in what for needle in NEEDLES)] == []


def _everything(kubectl: Kubectl) -> str:
    """All objects of the namespace but the Secret itself, with their managed fields."""
    kinds = kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").split()
    wanted = ",".join(kind for kind in kinds if kind != "secrets" and not kind.endswith("metrics.k8s.io"))
    return kubectl("get", wanted, "-o", "yaml", "--show-managed-fields")


def test_the_operators_own_token_is_not_reported(credentials: Path, operator: OperatorProcess) -> None:
    """Nor is what its kubeconfig has."""
    (user,) = yaml.safe_load(credentials.read_text(encoding="utf-8"))["users"]
    assert len(user["user"]["token"]) > 100
    assert user["user"]["token"] not in operator.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "uri", [f"s3://user:{TOKEN}@models/fraud", f"hf://user:{TOKEN}@organisation/model"], ids=["s3", "hf"]
)
def test_a_password_in_an_address_is_refused(kubectl: Kubectl, uri: str) -> None:
    """Before it is stored, and without being repeated."""
    model = fake_model("password", model={"version": "1", "uri": uri})
    refused = kubectl.run("create", "-f", "-", stdin=json.dumps(model))
    assert "must not carry a user name or password" in refused.stderr
    assert TOKEN not in refused.stderr
    assert kubectl.get(KIND, "password") is None


BROKEN = {
    "not YAML": f"users:\n- user: {{token: {TOKEN}\n  x: ]",
    "a tab": f"users:\n- user:\n\ttoken: {TOKEN}\n",
    "not a map": f"- {TOKEN}\n",
    "another type": f"current-context: x\nusers: {TOKEN}\nclusters: {TOKEN}\ncontexts: {TOKEN}\n",
}


@pytest.mark.parametrize("flag", ["--kubeconfig", "--settings"])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_not_quoted(tmp_path: Path, flag: str, content: str) -> None:
    """The process ends with a message that names the file, and nothing that is in it."""
    file = tmp_path / "broken.yaml"
    file.write_text(content, encoding="utf-8")
    argv = [sys.executable, "-m", "modelward", "run", "--port=0", f"{flag}={file}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert "broken.yaml" in done.stderr
    assert TOKEN[:12] not in done.stderr + done.stdout  # a long line would be quoted in part
    assert "Traceback" not in done.stderr
