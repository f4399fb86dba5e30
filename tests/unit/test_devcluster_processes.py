"""Finding and ending processes by their mark, with real but tiny processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import processes
from devcluster.errors import DevclusterError
from devcluster.processes import MARK, Component

SLEEP = Component(name="a", program="sleep", argv=["sleep", "600"])


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A cluster's directory, whose processes are gone after the test whatever happens."""
    yield tmp_path
    processes.kill([process.pid for process in processes.marked(tmp_path)])


def test_start_finds_and_stop_ends(directory: Path) -> None:
    """A started component is found by its mark, is not started twice, and is gone after stop."""
    for _ in range(2):
        processes.start(directory, SLEEP)
        assert processes.main_process(directory, "a", "sleep") is not None
    assert [process.component for process in processes.marked(directory)] == ["a"]
    assert processes.marked_below(directory.parent) == {directory.name}
    assert processes.stop(directory, "a")
    assert processes.marked(directory) == []
    assert not processes.stop(directory, "a")


def test_stop_kills_what_ignores_sigterm_and_its_children(directory: Path) -> None:
    """A component that does not listen is killed, and so are children that inherited its mark."""
    script = "trap '' TERM; sleep 600 & while true; do sleep 1; done"
    processes.start(directory, Component(name="a", program="sh", argv=["sh", "-c", script]))
    _eventually(lambda: {"sh", "sleep"} <= {process.program for process in processes.marked(directory)})
    assert processes.stop(directory, "a", grace_seconds=0.2)
    assert processes.marked(directory) == []


def test_stop_spares_others(directory: Path) -> None:
    """The same program without our mark, or with another cluster's, is never signalled."""
    marks = [{}, {MARK: f"{directory}-other:a"}, {MARK: f"{directory}:b"}]
    strangers = [subprocess.Popen(["sleep", "600"], env={**os.environ, **mark}) for mark in marks]
    try:
        processes.start(directory, SLEEP)
        assert processes.main_process(directory, "a", "sleep") is not None
        processes.stop(directory, "a")
        assert [stranger.poll() for stranger in strangers] == [None, None, None]
    finally:
        for stranger in strangers:
            stranger.send_signal(signal.SIGKILL)
            stranger.wait()


def test_wait_shows_the_last_words(directory: Path) -> None:
    """A component that ends instead of becoming ready is an error with its last line and where to read more."""
    dying = Component(name="a", program="sh", argv=["sh", "-c", "echo first; echo out of luck"])
    processes.start(directory, dying)
    with pytest.raises(DevclusterError, match=r"a ended: out of luck\. See .*/logs/a\.log"):
        processes.wait_until_ready(directory, dying, lambda: False)


def test_a_program_that_is_not_yet_loaded_counts_as_running(directory: Path) -> None:
    """No process has the mark while a program is loaded (exec), which may take long; `start` waits for it."""
    mark = f"{MARK}={directory}:a"
    loading = ["env", "-u", MARK, "bash", "-c", f"sleep 0.5; export {mark}; exec sleep 600"]
    component = Component(name="a", program="sleep", argv=loading)
    processes.start(directory, component)
    ready = iter([False, True])
    processes.wait_until_ready(directory, component, lambda: next(ready))


def test_wait_gives_up(directory: Path) -> None:
    """A component that lives but never becomes ready is an error, too."""
    processes.start(directory, SLEEP)
    with pytest.raises(DevclusterError, match="a is not ready"):
        processes.wait_until_ready(directory, SLEEP, lambda: False, timeout_seconds=0)


def test_proxies_do_not_reach_the_components(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's proxy settings must not come between the cluster's parts."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    processes.start(directory, SLEEP)
    assert processes.main_process(directory, "a", "sleep") is not None
    (process,) = processes.marked(directory)
    assert b"HTTPS_PROXY" not in Path(f"/proc/{process.pid}/environ").read_bytes()


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
