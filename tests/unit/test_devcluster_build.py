"""Building the cluster's programs, with a stand-in for go that takes no minutes."""

from __future__ import annotations

from pathlib import Path

import pytest

from devcluster import binaries, gocommand
from devcluster.errors import DevclusterError, PrerequisiteError

FAKE_GO = """\
#!/bin/sh
echo "$1" >> "$FAKE_GO_CALLS"
case "$1 $FAKE_GO_FAILS" in
list*) case "$*" in *-m*) echo "$FAKE_GO_MODULE" ;; *) printf 'a\\nb\\n' ;; esac ;;
"build yes") echo "x.go:1: write /tmp/x: no space left on device" >&2; exit 1 ;;
build*) while [ "$1" != -o ]; do shift; done; touch "$2/server" "$2/kubectl"; echo compiled >&2 ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-in writes how it was called. It is the go that will be found, the cache is empty."""
    go = tmp_path / "go"
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    stages = tmp_path / "module" / "kustomize" / "stage" / "pod" / "fast"
    stages.mkdir(parents=True)
    (stages / "pod-ready.yaml").write_text("kind: Stage\n")
    monkeypatch.setenv("FAKE_GO_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("FAKE_GO_MODULE", str(tmp_path / "module"))
    monkeypatch.setenv("FAKE_GO_FAILS", "no")
    monkeypatch.setenv("MODELWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(binaries, "find_go", lambda _say: go)
    monkeypatch.setattr(binaries, "NEEDED_BYTES", 0)
    return tmp_path / "calls"


def test_built_once(calls: Path) -> None:
    """The first call builds everything that a cluster needs, the second finds it."""
    said: list[str] = []
    directory = binaries.ensure_binaries(said.append)
    assert {path.name for path in directory.iterdir()} == {"etcd", "kubectl", "kwok-stages.yaml"}
    assert binaries.ensure_binaries(said.append) == directory
    assert calls.read_text().split() == ["list", "build", "list"]
    assert any("building Kubernetes" in line for line in said)


def test_failed_build_is_no_build(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure nothing looks finished, the error names the cause, and the next call builds again."""
    monkeypatch.setenv("FAKE_GO_FAILS", "yes")
    with pytest.raises(PrerequisiteError, match="disk is full"):
        binaries.ensure_binaries(lambda _text: None)
    assert not binaries.binaries_directory().exists()
    monkeypatch.setenv("FAKE_GO_FAILS", "no")
    directory = binaries.ensure_binaries(lambda _text: None)
    assert [path for path in directory.parent.iterdir() if path.name.endswith(".partial")] == []


def test_no_room(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too small a disk is said before minutes are spent."""
    monkeypatch.setattr(binaries, "NEEDED_BYTES", 10**18)
    with pytest.raises(PrerequisiteError, match="MODELWARD_CACHE"):
        binaries.ensure_binaries(lambda _text: None)
    assert not calls.exists()


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        pytest.param("dial tcp: lookup example.org: no such host", "GOPROXY", id="no network"),
        pytest.param("compile: signal: killed", "GOMAXPROCS", id="no memory"),
        pytest.param("undefined: x", "undefined: x", id="anything else is quoted"),
    ],
)
def test_failures_are_explained(line: str, remedy: str, tmp_path: Path) -> None:
    """What go says becomes one line with what to do about it."""
    go = tmp_path / "go"
    go.write_text(f"#!/bin/sh\necho '{line}' >&2\nexit 1\n")
    go.chmod(0o755)
    with pytest.raises(DevclusterError, match=remedy):
        gocommand.go_output(go, ["build"], "compiling", 1, lambda _text: None)


def test_progress_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While go works, it is said how many packages are done of how many, without a terminal."""
    monkeypatch.setattr(gocommand, "REPORT_SECONDS", 0)
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho one >&2\necho two >&2\necho result\n")
    go.chmod(0o755)
    said: list[str] = []
    assert gocommand.go_output(go, ["build"], "compiling", 7, said.append) == "result\n"
    assert said[-1] == "compiling: 2 of at most 7 packages, now two"
