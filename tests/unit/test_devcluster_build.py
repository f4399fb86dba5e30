"""Building the cluster's programs, with a stand-in for go that takes no minutes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from devcluster import binaries, gateway, gocommand, toolchain, versions
from devcluster.errors import DevclusterError, PrerequisiteError

FAKE_GO = """\
#!/bin/sh
echo "$1" >> "$FAKE_GO_CALLS"
case "$1 $FAKE_GO_FAILS" in
mod*) echo "{\\"Dir\\": \\"$FAKE_GO_MODULE\\"}" ;;
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
    monkeypatch.delenv(versions.VARIABLE, raising=False)
    for user in (binaries, gateway):
        monkeypatch.setattr(user, "find_go", lambda *_: go)
    monkeypatch.setattr(binaries, "NEEDED_BYTES", 0)
    return tmp_path / "calls"


def test_built_once(calls: Path) -> None:
    """The first call builds everything that a cluster needs, the second finds it."""
    said: list[str] = []
    directory = binaries.ensure_binaries(versions.DEFAULT, said.append)
    assert {path.name for path in directory.iterdir()} == {"etcd", "kubectl", "kwok-stages.yaml"}
    assert binaries.ensure_binaries(versions.DEFAULT, said.append) == directory
    assert calls.read_text().split() == ["list", "build", "list"]
    assert any("building Kubernetes" in line for line in said)


def test_failed_build_is_no_build(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure nothing checks finished, the error names the cause, and the next call builds again."""
    monkeypatch.setenv("FAKE_GO_FAILS", "yes")
    with pytest.raises(PrerequisiteError, match="disk is full"):
        binaries.ensure_binaries(versions.DEFAULT, lambda _text: None)
    assert not binaries.binaries_directory(versions.DEFAULT).exists()
    monkeypatch.setenv("FAKE_GO_FAILS", "no")
    directory = binaries.ensure_binaries(versions.DEFAULT, lambda _text: None)
    assert [path for path in directory.parent.iterdir() if path.name.endswith(".partial")] == []


def test_no_room(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too small a disk is said before minutes are spent."""
    monkeypatch.setattr(binaries, "NEEDED_BYTES", 10**18)
    with pytest.raises(PrerequisiteError, match="MODELWARD_CACHE"):
        binaries.ensure_binaries(versions.DEFAULT, lambda _text: None)
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
        gocommand.go_output(go, ["build"], "compiling", 1, lambda _text: None, tmp_path)


def test_progress_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While go works, it is said how many packages are done of how many, without a terminal."""
    monkeypatch.setattr(gocommand, "REPORT_SECONDS", 0)
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho one >&2\necho two >&2\necho result\n")
    go.chmod(0o755)
    said: list[str] = []
    assert gocommand.go_output(go, ["build"], "compiling", 7, said.append, tmp_path) == "result\n"
    assert said[-1] == "compiling: 2 of at most 7 packages, now two"


def test_chosen_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment chooses, `make` hands on an empty word for nothing, and without either it is the default."""
    monkeypatch.delenv(versions.VARIABLE, raising=False)
    assert versions.chosen() == versions.DEFAULT
    monkeypatch.setenv(versions.VARIABLE, "")
    assert versions.chosen() == versions.DEFAULT
    for minor in versions.available():
        monkeypatch.setenv(versions.VARIABLE, minor)
        assert versions.chosen() == minor


@pytest.mark.parametrize("unknown", ["1.1", "1.34.4", "v1.36", "latest", "../gobuild/1.36", "gateway-api"])
def test_unknown_version(unknown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be built is refused with all that can, before anything else happens."""
    monkeypatch.setenv(versions.VARIABLE, unknown)
    with pytest.raises(DevclusterError) as refused:
        versions.chosen()
    assert f"no Kubernetes {unknown} " in str(refused.value)
    assert ", ".join(versions.available()) in str(refused.value)


def test_versions_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, and only folders that are versions."""
    for name in ("1.9", "1.10", "1.36", "gateway-api", "1.36.bak"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(versions, "GOBUILD", tmp_path)
    assert versions.available() == ["1.9", "1.10", "1.36"]
    (tmp_path / "1.9" / "go.mod").write_text("module x\n\ngo 1.26.0\n")
    with pytest.raises(DevclusterError, match=r"does not require k8s\.io/kubernetes"):
        versions.release("1.9")


@pytest.mark.parametrize("minor", versions.available())
def test_pins_of_a_version_agree(minor: str) -> None:
    """The release is one of that minor version, all parts of Kubernetes are of that release, and Go can be had."""
    release = versions.release(minor)
    go_mod = (versions.module(minor) / "go.mod").read_text()
    assert versions.minor_of(release) == minor
    parts = re.findall(r"^\t(\S+) => (\S+) v(\S+)$", go_mod, re.MULTILINE)
    assert len(parts) > 30
    assert {(new, version) for old, new, version in parts} == {
        (old, release.replace("1.", "0.", 1)) for old, *_ in parts
    }
    assert _tools(minor) == _tools(versions.DEFAULT)
    there = toolchain.parse_version(toolchain.REQUIREMENT.read_text())
    assert there >= toolchain.demanded_version(go_mod)


def test_versions_are_built_apart(calls: Path) -> None:
    """Each version has its own programs, and none takes another's for its own."""
    directories = {
        binaries.ensure_binaries(minor, lambda _text: None) for minor in [*versions.available()] * 2
    }
    assert len(directories) == len(versions.available())
    assert calls.read_text().split().count("build") == len(versions.available())


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_build_key_follows_the_pins(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another pin is another key, so it is built anew."""
    before = binaries.build_key(versions.DEFAULT)
    shutil.copytree(versions.module(versions.DEFAULT), tmp_path / versions.DEFAULT)
    monkeypatch.setattr(versions, "GOBUILD", tmp_path)
    assert binaries.build_key(versions.DEFAULT) == before
    with (tmp_path / versions.DEFAULT / name).open("a") as file:
        file.write("\n")
    assert binaries.build_key(versions.DEFAULT) != before


def test_gateway_api_needs_go_once(calls: Path, tmp_path: Path) -> None:
    """Its CRDs come out of their Go module into the cache: where the cache is there, no Go is asked for."""
    crds = tmp_path / "module" / gateway.CRDS
    crds.mkdir(parents=True)
    (crds / "gateways.yaml").write_text("kind: CustomResourceDefinition\n")
    directory = gateway.crd_directory(lambda _text: None)
    assert directory.parent == tmp_path / "cache"
    assert gateway.crd_directory(lambda _text: None) == directory
    assert [path.name for path in directory.iterdir()] == ["gateways.yaml"]
    assert calls.read_text().split() == ["mod"]


def _tools(minor: str) -> list[str]:
    found = re.search(
        r"^tool \((.*?)^\)", (versions.module(minor) / "go.mod").read_text(), re.DOTALL | re.MULTILINE
    )
    return found.group(1).split() if found else []
