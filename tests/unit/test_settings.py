"""Settings: the file, flags over it, and errors that name the field."""

from pathlib import Path
from typing import Any

import pytest

from modelward.errors import InvalidSettings
from modelward.settings import Settings, load


def written(tmp_path: Path, text: str) -> Path:
    """A settings file."""
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_without_file_and_flags_there_are_defaults() -> None:
    """The operator runs with no settings at all."""
    assert load(None, {}) == Settings()


def test_an_empty_file_is_no_mistake(tmp_path: Path) -> None:
    """A ConfigMap may be there before its content."""
    assert load(written(tmp_path, "# nothing yet\n"), {}) == Settings()


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """Those that are given, also inside a group."""
    file = written(tmp_path, "workers: 3\nport: 1\nlog: {level: DEBUG, format: text}\n")
    settings = load(file, {"workers": 5, "port": None, "log": {"level": "ERROR", "format": None}})
    assert (settings.workers, settings.port) == (5, 1)
    assert (settings.log.level, settings.log.format) == ("ERROR", "text")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("workers: 0", "workers: Expected", id="a number out of bounds"),
        pytest.param("workers: many", "workers: Expected", id="a word for a number"),
        pytest.param("wrokers: 3", "there are namespaces, clusterRuntimes, workers", id="a misspelt setting"),
        pytest.param("log: {level: LOUD}", "log.level: Expected", id="a word that is not among the choices"),
        pytest.param("namespaces: [Shop]", "namespaces[0]: Expected", id="a name that is no namespace"),
        pytest.param(
            "rollouts: {maxConcurrent: -1}", "rollouts.maxConcurrent: Expected", id="a number below none"
        ),
        pytest.param("- workers", "must be a map", id="a list"),
        pytest.param("workers: [", "not YAML", id="broken YAML"),
        pytest.param(
            "leaderElection: {leaseSeconds: 10}",
            "leaderElection: must be 2 x retrySeconds < renewDeadlineSeconds < leaseSeconds",
            id="a leader that would outlive its lease",
        ),
        pytest.param(
            "leaderElection: {retrySeconds: 5}",
            "leaderElection: must be 2 x retrySeconds < renewDeadlineSeconds < leaseSeconds",
            id="a leader that could not miss one renewal",
        ),
        pytest.param(
            "leaderElection: {name: My_Lease}", "leaderElection.name: Expected", id="no name of a Lease"
        ),
    ],
)
def test_a_mistake_names_file_and_field(tmp_path: Path, text: str, words: str) -> None:
    """The process ends at start; the message is all that a reader has."""
    file = written(tmp_path, text)
    with pytest.raises(InvalidSettings) as error:
        load(file, {})
    assert words in str(error.value)
    assert str(file) in str(error.value)


def test_limits_of_the_fleet(tmp_path: Path) -> None:
    """None unless they are set; each by itself."""
    assert Settings().rollouts.max_concurrent == 0
    settings = load(written(tmp_path, "rollouts: {maxConcurrentPerNamespace: 2}\n"), {})
    assert settings.rollouts.max_concurrent == 0
    assert settings.rollouts.max_concurrent_per_namespace == 2


@pytest.mark.parametrize("flags", [{"workers": 1000}])
def test_a_mistake_in_a_flag_does_not_blame_a_file(flags: dict[str, Any]) -> None:
    """There is none."""
    with pytest.raises(InvalidSettings, match=r"^flags: workers: Expected"):
        load(None, flags)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(InvalidSettings, match=r"nowhere\.yaml: No such file"):
        load(tmp_path / "nowhere.yaml", {})
