"""mlflow:// against a tracking server in MLflow's wire format."""

import json
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from modelward_fetch.failures import Reason
from support.fetch import digest_of, failure, fetch, files, reason
from support.fetch_s3 import Objects
from support.fetch_site import Handler, Page, Site

LARGE = b"".join(number.to_bytes(4, "big") * 256 for number in range(600))
FILES = {"MLmodel": b"flavors: {}", "data/model.onnx": LARGE, "data/a b.txt": b"x"}


class Tracking:
    """One registered model."""

    def __init__(
        self, site: Site, *, authorization: str = "", stored: str = "mlflow-artifacts:/1/m-1/artifacts"
    ) -> None:
        self.aliases = {"champion": "7"}
        self.stored = stored
        self.files = {"7": FILES}
        self._authorization = authorization
        self.faults = Page()
        site.apis.append(self._answer)

    def _answer(self, handler: Handler) -> bool:
        split = urlsplit(handler.path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        if not split.path.startswith("/api/2.0/"):
            return False
        if self._authorization and handler.headers.get("authorization") != self._authorization:
            handler.answer(401)
        elif split.path.endswith("/registered-models/alias"):
            version = self.aliases.get(query["alias"]) if query["name"] == "fraud" else None
            self._say(handler, {"model_version": {"version": version}} if version else None)
        elif split.path.endswith("/get-download-uri"):
            self._say(handler, {"artifact_uri": self.stored} if query["version"] in self.files else None)
        elif split.path == "/api/2.0/mlflow-artifacts/artifacts":
            self._say(handler, {"files": self._listed(query["path"])})
        else:
            name = unquote(split.path).removeprefix("/api/2.0/mlflow-artifacts/artifacts/1/m-1/artifacts/")
            handler.give(self.faults, self.files["7"][name])
        return True

    def _listed(self, path: str) -> list[dict[str, object]]:
        below = path.removeprefix("1/m-1/artifacts").strip("/")
        prefix = f"{below}/" if below else ""
        names = [name.removeprefix(prefix) for name in self.files["7"] if name.startswith(prefix)]
        folders = {name.partition("/")[0] for name in names if "/" in name}
        said: list[dict[str, object]] = [{"path": each, "is_dir": True} for each in sorted(folders)]
        return said + [
            {"path": each, "is_dir": False, "file_size": len(self.files["7"][prefix + each])}
            for each in names
            if "/" not in each
        ]

    def _say(self, handler: Handler, value: object) -> None:
        body = json.dumps(value or {"error_code": "INVALID_PARAMETER_VALUE"}).encode()
        handler.answer(200 if value else 400, {"Content-Type": "application/json"}, body)


@pytest.fixture
def secret(plain_site: Site) -> dict[str, str]:
    """That names the tracking server."""
    return {"MLFLOW_TRACKING_URI": plain_site.url}


def test_an_alias_is_resolved_to_its_version(
    plain_site: Site, secret: dict[str, str], tmp_path: Path
) -> None:
    """And that version is what later pods ask for."""
    Tracking(plain_site)
    report = fetch("mlflow://models/fraud@champion", tmp_path / "m", secret=secret)
    assert files(tmp_path / "m") == FILES
    assert (report.resolved, report.digest) == ("mlflow://models/fraud/7", digest_of(FILES))
    assert fetch("mlflow://models/fraud/7", tmp_path / "m", secret=secret).result == "AlreadyThere"


@pytest.mark.parametrize("uri", ["models/fraud@nobody", "models/other@champion", "models/fraud/8"])
def test_what_is_not_registered(plain_site: Site, secret: dict[str, str], tmp_path: Path, uri: str) -> None:
    """MLflow answers 400."""
    Tracking(plain_site)
    assert reason(f"mlflow://{uri}", tmp_path / "m", secret=secret) == Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (
            {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "planted"},
            "Basic YW5uOnBsYW50ZWQ=",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "planted"}, "Bearer planted"),
    ],
)
def test_credentials(
    plain_site: Site, secret: dict[str, str], tmp_path: Path, given: dict[str, str], header: str
) -> None:
    """By name and password, or by token."""
    Tracking(plain_site, authorization=header)
    assert fetch("mlflow://models/fraud/7", tmp_path / "m", secret=secret | given).files == 3
    assert reason("mlflow://models/fraud/7", tmp_path / "n", secret=secret) == Reason.DENIED


def test_every_connection_is_cut(plain_site: Site, secret: dict[str, str], tmp_path: Path) -> None:
    """And goes on; also of a server without ranges, whose beginning is then read again and left out."""
    tracking = Tracking(plain_site)
    tracking.faults = Page(cut_after=200_000)
    assert fetch("mlflow://models/fraud/7", tmp_path / "m", secret=secret).result == "Fetched"
    tracking.faults = Page(ranges=False)
    fetch("mlflow://models/fraud/7", tmp_path / "n", secret=secret)
    assert files(tmp_path / "n") == FILES


def test_artifacts_in_an_object_store(plain_site: Site, secret: dict[str, str], tmp_path: Path) -> None:
    """Read from there, with the credentials of the same Secret."""
    Objects(plain_site, {f"runs/1/{name}": content for name, content in FILES.items()})
    store = {"AWS_ENDPOINT_URL": plain_site.url}
    plain_site.apis.insert(0, Tracking(plain_site, stored="s3://models/runs/1")._answer)
    report = fetch("mlflow://models/fraud@champion", tmp_path / "m", secret=secret | store)
    assert (files(tmp_path / "m"), report.resolved) == (FILES, "mlflow://models/fraud/7")


def test_a_server_that_is_not_named(plain_site: Site, secret: dict[str, str], tmp_path: Path) -> None:
    """Or names a place that nobody reads from here."""
    assert "MLFLOW_TRACKING_URI" in failure("mlflow://models/fraud/7", tmp_path / "m").remedy
    Tracking(plain_site, stored="file:///etc")
    assert reason("mlflow://models/fraud/7", tmp_path / "m", secret=secret) == Reason.FORMAT_UNKNOWN
