"""The kept collection: pages in the manner of nine servers x ways of being wrong. Nothing is ever promoted on silence.

All of it takes half a minute: `PAGES=all`, as in `make test-integrations`. Otherwise a draw that is always the same, in
which each way of being wrong and each server is there.
"""

import os
import random
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from modelward.clients.scrape import Body
from unit.sampling.rollouts_of_pages import Shown, Told, rollout
from unit.sampling.servers import SERVERS, Server

WHOLE = os.environ.get("PAGES") == "all"
_DRAW = random.Random(20261130)
T = TypeVar("T")


def some(cases: Sequence[T], number: int) -> list[T]:
    """So many of the cases, or all."""
    return list(cases) if WHOLE else _DRAW.sample(list(cases), number)


def servers(number: int, among: Sequence[Server] = SERVERS) -> pytest.MarkDecorator:
    """A test for so many of the servers, or for all."""
    return pytest.mark.parametrize("server", some(among, number), ids=lambda server: server.name)


def played(server: Server, shown: Shown, *, looks: int = 60, hits: str = "", total: str = "") -> Told:
    """A rollout of this server."""
    return rollout(shown, hits=hits or server.hits, total=total or server.total, looks=looks)


def counting(server: Server, *, canary_errors: float, stable_errors: float = 0.01, seed: int = 1) -> Shown:
    """A hundred requests a look to each pod."""
    draw, counted = random.Random(seed), dict[str, list[int]]()

    def shown(pod: str, look: int) -> str:
        del look
        counter = counted.setdefault(pod, [0, 0])
        rate = canary_errors if pod.startswith("canary") else stable_errors
        counter[0] += 100
        counter[1] += sum(draw.random() < rate for _ in range(100))
        return server.page(*counter)

    return shown


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
    told = played(server, counting(server, canary_errors=1.0))
    assert told.rolled_back, told.message
    assert not told.advanced


@servers(1, [server for server in SERVERS if " + " in server.total])
def test_f07_a_total_of_successes_alone_is_invalid(server: Server) -> None:
    """Never "no canary request yet"."""
    told = played(server, counting(server, canary_errors=1.0), total=server.total.partition(" + ")[0])
    assert not told.advanced
    assert told.problem is not None
    assert "total probably counts successes only" in told.problem.message


@servers(1, [server for server in SERVERS if server.label])
@pytest.mark.parametrize("arms", ["both", "canary", "stable"])
def test_f08_a_label_that_the_server_lacks_is_named(server: Server, arms: str) -> None:
    """With those that there are; where one version only lacks it, too."""
    inner = counting(server, canary_errors=0.33)

    def shown(pod: str, look: int) -> str:
        page = str(inner(pod, look))
        there = arms == "both" or pod.startswith(arms)
        return _summed(re.sub(rf',?{server.label}="[^"]*"', "", page)) if there else page

    told = played(server, shown)
    assert not told.advanced
    assert told.problem is not None
    assert f"has the label {server.label}; the" in told.problem.message


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

        def shown(pod: str, look: int, inner: Shown = inner, kind: str = kind) -> Body:
            page = str(inner(pod, look)).replace("\n", "\r\n" if kind == "text/html" else "\n")
            return Body(f"\ufeff{page}\r\n", kind)

        told = played(server, shown, looks=20)
        assert told.problem is None
        assert told.advanced


def test_f11_what_is_no_page_is_called_by_its_type() -> None:
    """So that the wrong port is found."""
    told = played(SERVERS[0], lambda _pod, _look: Body("<!DOCTYPE html>\n<html></html>", "text/html"))
    assert told.problem is not None
    assert "the page is text/html and no text of metrics" in told.problem.message


# --- ways of being wrong ------------------------------------------------------------------------------------

Wrong = Callable[[Server], Shown]


def _still(change: Callable[[str], str | Body]) -> Wrong:
    """Idle pods of an old server, with something wrong on every page."""
    return lambda server: lambda _pod, _look: change(server.page(1000, 10))


def _idle_workers(number: int) -> Wrong:
    def made(server: Server) -> Shown:
        draw = random.Random(number)
        workers = [(1000 * (each + 1), 10 * (each + 1)) for each in range(number)]
        return lambda _pod, _look: server.page(*draw.choice(workers))

    return made


def _some_jump(server: Server) -> Shown:
    """Only the canary's workers do not share their counters, with a start of their own each."""
    draw = random.Random(3)

    def shown(pod: str, look: int) -> str:
        if not pod.startswith("canary"):
            return server.page(1000 + 100 * look, 10 + look)
        worker = draw.randrange(3)
        page = re.sub(
            r"(?m)^(# TYPE )?process_start_time_seconds .*\n", "", server.page(900 * worker + 90, 9 * worker)
        )
        return f"{page}process_start_time_seconds {1.7e9 + worker}\n"

    return shown


def _canary_says(change: Callable[[str, int], str | Body]) -> Wrong:
    """Stable is well; the canary's page is wrong, whatever it does."""

    def made(server: Server) -> Shown:
        inner = counting(server, canary_errors=0.5)

        def shown(pod: str, look: int) -> str | Body:
            page = inner(pod, look)
            return change(str(page), look) if pod.startswith("canary") else page

        return shown

    return made


def _renamed(page: str) -> str:
    return re.sub(r'="(fraud|/predict|infer|/v1/completions)"', '="other"', page)


WRONG: dict[str, Wrong] = {
    "idle": _still(lambda page: page),
    "idle, one worker of 2": _idle_workers(2),
    "idle, one worker of 4": _idle_workers(4),
    "the canary's workers jump": _some_jump,
    "born, and never asked": lambda server: lambda _pod, _look: server.page(0, 0),
    "no canary request": lambda server: (
        lambda pod, look: (
            server.page(0, 0) if pod.startswith("canary") else server.page(1000 + 100 * look, 10 + look)
        )
    ),
    "other labels": _still(_renamed),
    "the canary's labels differ": _canary_says(lambda page, _: _renamed(page)),
    "empty": _still(lambda _: ""),
    "the canary's page is empty": _canary_says(lambda _page, _look: ""),
    "HTML": _still(lambda _: Body("<html><body>ok</body></html>", "text/html")),
    "JSON": _canary_says(lambda _page, _look: Body('{"status": "ok"}', "application/json")),
    "cut short": _canary_says(lambda page, _: page[: len(page) // 2].rstrip("0123456789")),
    "NaN": _canary_says(lambda page, _: re.sub(r"\} \d+", "} NaN", page)),
    "negative": _canary_says(lambda page, _: re.sub(r"\} (\d+)", r"} -\1", page)),
    "infinite": _canary_says(lambda page, _: re.sub(r"\} \d+", "} +Inf", page)),
    "every series twice": _canary_says(lambda page, _: page + re.sub(r"(?m)^#.*\n", "", page)),
    "gauges": _canary_says(lambda page, _: re.sub(r"(?m)^(# TYPE \S+) counter$", r"\1 gauge", page)),
    "another name": _canary_says(
        lambda page, _: re.sub(r"(?m)^(# TYPE )?", r"\1x_", page).replace("x_#", "#")
    ),
    "falls at every look": _canary_says(lambda page, look: re.sub(r"\} \d+", f"}} {9000 - look}", page)),
    "stands still": lambda server: (
        lambda pod, look: (
            server.page(500, 0) if pod.startswith("canary") else server.page(1000 + 100 * look, 10 + look)
        )
    ),
}


BAD = {way for way in WRONG if getattr(WRONG[way], "__qualname__", "").startswith("_canary_says")}
"""Ways of a canary that fails every second request: what of it can still be read may well tell."""


def wrong() -> list[tuple[Server, str]]:
    """Each way with one of the servers, in turn, or with all."""
    if WHOLE:
        return [(server, way) for server in SERVERS for way in WRONG]
    ways, turn = _DRAW.sample(list(WRONG), len(WRONG)), _DRAW.sample(list(SERVERS), len(SERVERS))
    return [(turn[number % len(turn)], way) for number, way in enumerate(ways)]


@pytest.mark.parametrize(
    ("server", "way"), [pytest.param(server, way, id=f"{server.name}: {way}") for server, way in wrong()]
)
def test_nothing_is_promoted_on_silence(server: Server, way: str) -> None:
    """Neither is it rolled back: a page that says nothing says nothing against the canary."""
    told = played(server, WRONG[way](server), looks=40)
    assert not told.advanced, told.message
    assert way in BAD or not told.rolled_back, told.message


@servers(1)
def test_good_canaries_of_several_workers_that_share_are_not_touched(server: Server) -> None:
    """Restarts, late series and small leads of hits are no flaws."""
    told = [played(server, counting(server, canary_errors=0.01, seed=seed), looks=40) for seed in range(5)]
    assert all(each.problem is None and each.advanced and not each.rolled_back for each in told)
