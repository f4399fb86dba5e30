"""The audit: each linter checks the right files and is heard, and silence of a service is no good answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from supply import audit, locks, vulnerabilities
from supply.audit import Answer
from supply.vulnerabilities import Findings

VULNERABLE = {"id": "OSV-2026-1", "affected": [], "summary": "planted", "aliases": []}
LOCK = "anyio==4.0.0 \\\n    --hash=sha256:{0}\nidna==3.0 \\\n    --hash=sha256:{0}\n".format("0" * 64)
WORKFLOW = """name: Bad
on: push
permissions: write-all
jobs:
  bad:
    runs-on: ubuntu-24.04
    steps:
    - uses: actions/checkout@v4
    - run: echo ${{ github.event.head_commit.message }}
"""


@pytest.mark.parametrize("question", [audit.dockerfiles, audit.workflows])
def test_repository_is_clean(question: Any) -> None:
    """Dockerfiles and workflows as they are committed; ruff's rules run with `make lint`."""
    answer = question(locks.ROOT)
    assert answer.problems == ()


def test_every_dockerfile_and_workflow_is_checked() -> None:
    """None hides from its linter."""
    dockerfiles = [path for path in locks.ROOT.glob("**/Dockerfile") if ".venv" not in path.parts]
    assert audit.dockerfiles(locks.ROOT).looked_at == f"{len(dockerfiles)} Dockerfiles"
    assert audit.workflows(locks.ROOT).looked_at == "7 files in .github"


def test_bad_workflow_is_found(tmp_path: Path) -> None:
    """An action that is not pinned, a token with all rights, and a message that becomes a command."""
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/bad.yaml").write_text(WORKFLOW)
    said = "\n".join(audit.workflows(tmp_path).problems)
    for finding in ("unpinned-uses", "excessive-permissions", "template-injection", "artipacked"):
        assert f"[{finding}]" in said


def test_linter_without_input_is_a_problem(tmp_path: Path) -> None:
    """A repository without workflows was not checked, which is not the same as clean."""
    assert audit.workflows(tmp_path).problems == ("zizmor has nothing to check",)


@pytest.mark.parametrize("lock", locks.LOCKS, ids=lambda path: path.name)
def test_everything_is_pinned_by_digest(lock: Path) -> None:
    """Each lock file has a digest for each package, and no address of an index."""
    assert all(pin.sha256 for pin in locks.read(lock))
    assert "://" not in lock.read_text()


def test_package_without_digest_is_refused(tmp_path: Path) -> None:
    """One line without a digest is enough."""
    path = tmp_path / "some.lock"
    path.write_text(LOCK + "six==1.17.0\n")
    with pytest.raises(ValueError, match=r"some\.lock names 3 packages, 2 of them with digests"):
        locks.read(path)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        (Findings(checked=2), 0),
        (Findings(checked=1, not_checked=("anyio",)), 3),
        (Findings(checked=1, not_checked=("anyio",), found=("idna 3.0: OSV-1",)), 1),
        (Findings(not_checked=("all",)), 3),
    ],
)
def test_exit_code_distinguishes_bad_from_unknown(findings: Findings, code: int) -> None:
    """What was found outweighs what was not looked up; both are not 0."""
    answer = audit.known_vulnerabilities(locks.RUNTIME, lambda _lock: findings)
    assert audit.exit_code([Answer(question="other", looked_at="all"), answer]) == code


def test_report_says_what_was_not_checked() -> None:
    """By name, in capitals, and how many more there are."""
    findings = Findings(checked=1, not_checked=tuple("abcdefg"))
    said = audit.report([audit.known_vulnerabilities(locks.RUNTIME, lambda _lock: findings)])
    assert said == (
        "pip-audit      NOT CHECKED  1 packages of requirements.lock\n    not checked: a, b, c, d, e and 2 more"
    )


def test_vulnerability_is_found(lock: Path, service: str) -> None:
    """Pip-audit, asked as `make audit` asks it, of a service that knows a vulnerability of idna."""
    findings = vulnerabilities.look_up(lock, [("--vulnerability-service=osv", f"--osv-url={service}")])
    assert findings == Findings(checked=2, found=("idna 3.0: OSV-2026-1, repaired in no version",))


def test_service_that_does_not_answer_is_not_a_good_answer(lock: Path) -> None:
    """Nobody listens there: nothing was checked, and that is said."""
    findings = vulnerabilities.look_up(
        lock, [("--vulnerability-service=osv", "--osv-url=http://127.0.0.1:9/")]
    )
    assert findings.checked == 0
    assert findings.found == ()
    (said,) = findings.not_checked
    assert said.startswith("all of some.lock: ")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of two packages."""
    path = tmp_path / "some.lock"
    path.write_text(LOCK)
    return path


@pytest.fixture
def service() -> Iterator[str]:
    """Address of a vulnerability service that speaks OSV's language and knows something about idna."""
    server = HTTPServer(("127.0.0.1", 0), _Osv)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/query"
    server.shutdown()
    thread.join()
    server.server_close()


class _Osv(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"vulns": [VULNERABLE]} if question["package"]["name"] == "idna" else {}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_arguments: object) -> None:
        """Nothing on standard error."""
