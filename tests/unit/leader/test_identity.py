"""Identities: never the same twice, and dead only when that is certain."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from modelward.leader import identity
from modelward.leader.identity import is_dead, own_identity

SAY = "from modelward.leader.identity import own_identity; print(own_identity(), flush=True); input()"


@pytest.fixture
def other() -> Iterator["subprocess.Popen[str]"]:
    """Another process of this machine, which has reported its identity on its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


def reported(process: "subprocess.Popen[str]") -> str:
    """What it printed."""
    assert process.stdout
    return process.stdout.readline().strip()


def test_never_the_same_twice() -> None:
    """A restarted process is another candidate than the one before it."""
    assert own_identity() != own_identity()


def test_a_living_process_is_not_dead(other: "subprocess.Popen[str]") -> None:
    """Neither this one nor another."""
    assert not is_dead(own_identity())
    assert not is_dead(reported(other))


def test_a_killed_process_is_dead(other: "subprocess.Popen[str]") -> None:
    """Also before its parent has taken note (a zombie), and after."""
    name = reported(other)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert is_dead(name)
    other.wait()
    assert is_dead(name)


def test_another_process_with_the_same_number_is_no_life_sign() -> None:
    """Process ids are used again; the time of start distinguishes them."""
    before, _, random = own_identity().rpartition("_")
    host_and_pid, _, start = before.rpartition("-")
    assert is_dead(f"{host_and_pid}-{int(start) - 1}_{random}")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="nobody"),
        pytest.param("pod-7d4_0123456789ab-1-5_01234567", id="another machine"),
        pytest.param("somebody_else", id="another program's"),
    ],
)
def test_what_cannot_be_known_counts_as_alive(name: str) -> None:
    """Others must wait until the lease expires."""
    assert not is_dead(name)


def test_where_a_machine_is_not_known_nobody_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of Linux."""
    monkeypatch.setattr(identity, "_machine", lambda: "")
    assert not is_dead(own_identity())
    assert own_identity()
