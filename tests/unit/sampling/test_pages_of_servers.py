"""The kept collection: pages in the manner of nine servers x ways of being wrong. Nothing is ever promoted on silence.

All of it takes minutes: `PAGES=all`, as in `make test-integrations`. Otherwise a draw that is always the same, in which
each way of being wrong and each server is there. `make bench-pages` plays each many times, and prints the table.
"""

import os
import random
import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

import pytest

from modelward.clients.scrape import Body
from unit.sampling.rollouts_of_pages import Reported, Shown, rollout
from unit.sampling.servers import SERVERS, Server
from unit.sampling.wrong_pages import BAD, SILENT, UNUSUAL, counting

WHOLE = os.environ.get("PAGES") == "all"
_DRAW = random.Random(20261130)
T = TypeVar("T")


def some(cases: Sequence[T], number: int) -> list[T]:
    """So many of the cases, or all."""
    return list(cases) if WHOLE else _DRAW.sample(list(cases), number)


def servers(number: int, among: Sequence[Server] = SERVERS) -> pytest.MarkDecorator:
    """A test for so many of the servers, or for all."""
    return pytest.mark.parametrize("server", some(among, number), ids=lambda server: server.name)


def played(server: Server, shown: Shown, *, polls: int = 60, hits: str = "", total: str = "") -> Reported:
    """A rollout of this server."""
    return rollout(shown, hits=hits or server.hits, total=total or server.total, polls=polls)


@servers(2)
def test_a_good_canary_goes_on_and_a_bad_one_is_rolled_back(server: Server) -> None:
    """By the selectors that the documentation gives."""
    good = played(server, counting(server, canary_errors=0.01))
    assert good.problem is None
    assert good.advanced
    assert not good.rolled_back
    bad = played(server, counting(server, canary_errors=0.2))
    assert bad.rolled_back
    assert not bad.advanced


@servers(1)
def test_f07_a_canary_that_fails_always_is_rolled_back(server: Server) -> None:
    """Its counter of successes has no series."""
    reported = played(server, counting(server, canary_errors=1.0))
    assert reported.rolled_back, reported.message
    assert not reported.advanced


@servers(1, [server for server in SERVERS if " + " in server.total])
def test_f07_a_total_of_successes_alone_is_invalid(server: Server) -> None:
    """Never "no canary request yet"."""
    reported = played(server, counting(server, canary_errors=1.0), total=server.total.partition(" + ")[0])
    assert not reported.advanced
    assert reported.problem is not None
    assert "total probably counts successes only" in reported.problem.message


@servers(1, [server for server in SERVERS if server.label])
@pytest.mark.parametrize("arms", ["both", "canary", "stable"])
def test_f08_a_label_that_the_server_lacks_is_named(server: Server, arms: str) -> None:
    """With those that there are; where one version only lacks it, too."""
    inner = counting(server, canary_errors=0.33)

    def shown(pod: str, poll: int) -> str:
        page = str(inner(pod, poll))
        there = arms == "both" or pod.startswith(arms)
        return _summed(re.sub(rf',?{server.label}="[^"]*"', "", page)) if there else page

    reported = played(server, shown)
    assert not reported.advanced
    assert reported.problem is not None
    assert f"has the label {server.label}; the" in reported.problem.message


def _summed(page: str) -> str:
    """The page with the series that have become one as one."""
    lines: dict[str, float] = {}
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if line.startswith("#"):
            lines[line] = -1
        else:
            lines[name] = lines.get(name, 0) + float(value)
    return "".join(f"{name}\n" if value < 0 else f"{name} {value:.0f}\n" for name, value in lines.items())


@servers(1)
def test_f11_the_type_of_a_page_and_its_first_bytes_decide_nothing(server: Server) -> None:
    """A page is what parses as one."""
    for kind in ("application/json", "text/html", "application/octet-stream", "text/plain"):
        inner = counting(server, canary_errors=0.01)

        def shown(pod: str, poll: int, inner: Shown = inner, kind: str = kind) -> Body:
            page = str(inner(pod, poll)).replace("\n", "\r\n" if kind == "text/html" else "\n")
            return Body(f"\ufeff{page}\r\n", kind)

        reported = played(server, shown, polls=20)
        assert reported.problem is None
        assert reported.advanced


def test_f11_what_is_no_page_is_called_by_its_type() -> None:
    """So that the wrong port is found."""
    reported = played(SERVERS[0], lambda _pod, _poll: Body("<!DOCTYPE html>\n<html></html>", "text/html"))
    assert reported.problem is not None
    assert "the page is text/html and no text of metrics" in reported.problem.message


# --- ways of being wrong ------------------------------------------------------------------------------------


def each_of(ways: Iterable[str]) -> pytest.MarkDecorator:
    """Each way with one of the servers, in turn, or with all."""
    drawn = list(ways)
    if WHOLE:
        pairs = [(server, way) for server in SERVERS for way in drawn]
    else:
        turn = _DRAW.sample(list(SERVERS), len(SERVERS))
        pairs = [(turn[number % len(turn)], way) for number, way in enumerate(some(drawn, len(drawn)))]
    return pytest.mark.parametrize(
        ("server", "way"), [pytest.param(server, way, id=f"{server.name}: {way}") for server, way in pairs]
    )


@each_of(SILENT)
def test_nothing_is_promoted_on_silence(server: Server, way: str) -> None:
    """Neither is it rolled back: a page that says nothing says nothing against the canary."""
    reported = played(server, SILENT[way](server, 1), polls=40)
    assert not reported.advanced, reported.message
    assert way in BAD or not reported.rolled_back, reported.message


@each_of(UNUSUAL)
def test_what_is_only_unusual_is_read(server: Server, way: str) -> None:
    """Arms that are alike are not rolled back, and go on."""
    reported = played(server, UNUSUAL[way](server, 1), polls=40)
    assert not reported.rolled_back, reported.message
    assert reported.problem is None
    assert reported.advanced, reported.message


@servers(2)
@pytest.mark.parametrize("errors", [0.01, 0.3])
def test_f06_a_canary_goes_on_once_its_counters_are_corrected(server: Server, errors: float) -> None:
    """Without a restart: it falls from a million at each poll, and then shows what it counts; or is then found out."""
    inner = counting(server, canary_errors=errors)

    def shown(pod: str, poll: int) -> str:
        page = str(inner(pod, poll))
        falls = pod.startswith("canary") and poll < 20
        return server.page(1_000_000 - 1000 * poll, 0) if falls else page

    held = played(server, shown, polls=20)
    assert not held.advanced
    assert held.problem is not None
    assert "its counters fall" in held.problem.message
    inner = counting(server, canary_errors=errors)
    reported = played(server, shown, polls=80)
    assert reported.problem is None
    assert reported.advanced == (errors < 0.1)
    assert reported.rolled_back == (errors > 0.1)


@servers(1)
def test_good_canaries_of_several_workers_that_share_are_not_touched(server: Server) -> None:
    """Restarts, late series and small leads of hits are no flaws."""
    reported = [
        played(server, counting(server, canary_errors=0.01, seed=seed), polls=40) for seed in range(5)
    ]
    assert all(each.problem is None and each.advanced and not each.rolled_back for each in reported)
