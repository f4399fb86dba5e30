"""The program around a fetch: its start by `modelward`, its exit codes, `/progress`, the digest that coreutils print."""

import hashlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from modelward_fetch.cli import command
from modelward_fetch.progress import Counter, Progress, served
from support.fetch import environment, fetch, program
from support.fetch_site import Page, Site

SHELL = r"find . -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 sha256sum -- | sha256sum"
"""As docs/fetch.md has it."""


def test_modelward_starts_it_as_a_process_of_its_own(tmp_path: Path) -> None:
    """With its arguments as they are, and its exit code."""
    run = [sys.executable, "-m", "modelward", "fetch", "ftp://host/x", str(tmp_path / "m"), "-o", "json"]
    done = subprocess.run(run, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stderr.splitlines()[-1])["reason"] == "InvalidUri"


def test_a_report_of_a_failure_says_what_to_do(tmp_path: Path) -> None:
    """For people, too."""
    ended = program("pvc://claim/x", tmp_path / "m", "--claim", str(tmp_path))
    assert ended.code == 10
    assert ended.report["remedy"]
    assert ended.report["field"] == "spec.model.uri"


def test_the_digest_is_what_coreutils_print(tmp_path: Path) -> None:
    """Names in any script, an empty file, a folder in a folder."""
    folder = tmp_path / "claim"
    for name in ("b", "a/ü", "a/x y", "Z", "a.b", "empty"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else name, encoding="utf-8")
    printed = subprocess.run(SHELL, shell=True, cwd=folder, capture_output=True, text=True, check=True)  # noqa: S602
    expected = printed.stdout.split()[0]
    assert fetch("pvc://claim", tmp_path / "m", claim=folder, sha256=expected).digest == f"sha256:{expected}"
    assert SHELL in (Path(__file__).parents[2] / "docs" / "fetch.md").read_text(encoding="utf-8")


def test_progress_is_served_while_it_runs() -> None:
    """Numbers, and nothing else at any other path."""
    counter = Counter()
    counter.progress = Progress(state="Fetching", files=3, total=200)
    counter.add(done=124, transferred=124, files=1)
    with served("127.0.0.1:0", counter) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/progress") as answer:
            said = json.loads(answer.read())
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
    assert said == {
        "state": "Fetching",
        "percent": 62,
        "bytes": 124,
        "totalBytes": 200,
        "files": 1,
        "totalFiles": 3,
        "bytesPerSecond": 0,
    }


def test_progress_in_words() -> None:
    """Share, amount, rate, what is left; 100 % only at the end."""
    progress = Progress(state="Fetching", files=2, total=2000, done=1000, transferred=1000, began=10.0)
    assert progress.sentence(20.0) == "fetching 50 % of 2.0 KiB, 0 of 2 files, 100 bytes/s, about 10 s"
    progress.done = 2000
    assert progress.percent == 99
    progress.state = "Done"
    assert progress.percent == 100


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://models/fraud", "can be overwritten"),
        ("s3://models/fraud?versionId=7", "names one version"),
        ("hf://org/model@main", "its commit is looked up once for each revision"),
        ("oci://r.example/m:v1", "its digest is looked up once for each revision"),
        ("mlflow://models/fraud/7", "names a version"),
        ("https://example.com/m.bin?sig=secret", "https://example.com/m.bin can be overwritten"),
        ("pvc://claim/m", "contents are not read"),
    ],
)
def test_what_an_address_names_is_explained_without_asking(uri: str, words: str) -> None:
    """For a rehearsal, and for people; a query is not shown."""
    result = CliRunner().invoke(command, ["--explain", uri])
    assert result.exit_code == 0
    assert words in result.output
    assert "secret" not in result.output


def test_an_address_that_has_not_its_form_is_explained_as_such() -> None:
    """With the code of a fetch."""
    result = CliRunner().invoke(command, ["--explain", "hf://model"])
    assert result.exit_code == 2


@pytest.mark.parametrize("form", ["{}", " {}\n", "sha256:{}", "SHA256:{}"])
def test_a_sha256_in_each_form_that_is_printed(tmp_path: Path, form: str) -> None:
    """With the prefix of the digest, in capitals, with a line's end."""
    (tmp_path / "model.onnx").write_bytes(b"x")
    given = form.format(hashlib.sha256(b"x").hexdigest().upper())
    ended = program("pvc://claim/model.onnx", tmp_path / "m", "--claim", str(tmp_path), "--sha256", given)
    assert (ended.code, ended.report["result"]) == (0, "InPlace")


@pytest.mark.parametrize(
    "given", ["abc", "sha256:", "sha512:" + 64 * "a", 63 * "a", 64 * "g", "x" + 64 * "a"]
)
def test_a_sha256_that_is_none_is_refused_before_anything_is_asked(tmp_path: Path, given: str) -> None:
    """It would be compared with what took an hour to fetch."""
    uri = "https://host.invalid/model.onnx"
    ended = program(uri, tmp_path / "m", "--sha256", given, "--timeout-seconds", "1")
    assert (ended.code, ended.report["reason"], ended.report["field"]) == (
        2,
        "InvalidUri",
        "spec.model.sha256",
    )


@pytest.mark.parametrize("address", ["foo", ":99999", "host.invalid:8089", ":x", "taken"])
def test_an_address_for_progress_that_cannot_be_used(tmp_path: Path, address: str) -> None:
    """A wrong option, not a defect."""
    with served("127.0.0.1:0", Counter()) as port:
        given = f"127.0.0.1:{port}" if address == "taken" else address
        ended = program("pvc://claim/x", tmp_path / "m", "--progress-address", given)
    assert (ended.code, ended.report["field"]) == (2, "--progress-address")


@pytest.mark.parametrize("name", ["/proc/x/y", "n" * 250, "n" * 300, "file/m"])
def test_a_folder_that_cannot_be_made(plain_site: Site, tmp_path: Path, name: str) -> None:
    """Below a place that is missing and cannot be written, by a name that is too long, below a file."""
    plain_site.pages["/model.onnx"] = Page(b"x")
    (tmp_path / "file").touch()
    ended = program(f"{plain_site.url}/model.onnx", tmp_path / name)
    assert (ended.code, ended.report["reason"], ended.report["field"]) == (2, "InvalidUri", "DIR")


@pytest.mark.parametrize("file", [".docker/config.json", ".cache/huggingface/token"])
def test_files_of_other_tools_that_are_no_text(plain_site: Site, tmp_path: Path, file: str) -> None:
    """They are not needed here."""
    plain_site.pages["/model.onnx"] = Page(b"x")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(b"\xff\xfe\x00")
    assert program(f"{plain_site.url}/model.onnx", tmp_path / "m", HOME=str(tmp_path)).code == 0
