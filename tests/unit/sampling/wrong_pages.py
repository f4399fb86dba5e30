"""Ways in which a page of metrics, or whoever answers with it, is wrong; and ways in which it is only unusual.

A silent way says nothing of the canary's requests: nothing may be promoted by it. An unusual way is a page that can be
read, of arms that are alike: it may neither be rolled back nor be in the way of a promotion.
"""

import random
import re
from collections.abc import Callable

from modelward.clients.scrape import Body
from unit.sampling.rollouts_of_pages import Shown
from unit.sampling.servers import Server

Way = Callable[[Server, int], Shown]
"""The pages of a rollout, by server and seed."""
_SAMPLE = re.compile(r"(?m)^([^#\s][^\s{]*(?:\{[^}\n]*\})?) ([0-9.e+]+)$")


def counting(server: Server, *, canary_errors: float, stable_errors: float = 0.01, seed: int = 1) -> Shown:
    """A hundred requests a poll to each pod."""
    draw, counted = random.Random(seed), dict[str, list[int]]()

    def shown(pod: str, poll: int) -> str:
        del poll
        counter = counted.setdefault(pod, [0, 0])
        rate = canary_errors if pod.startswith("canary") else stable_errors
        counter[0] += 100
        counter[1] += sum(draw.random() < rate for _ in range(100))
        return server.page(*counter)

    return shown


# --- silent: idle, or not to be read --------------------------------------------------------------------------


def _still(change: Callable[[str], str | Body]) -> Way:
    """Idle pods of an old server, with something wrong on every page."""
    return lambda server, _seed: lambda _pod, _poll: change(server.page(1000, 10))


def _without_start(page: str) -> str:
    return re.sub(r"(?m)^(# TYPE )?process_start_time_seconds .*\n", "", page)


def _idle_workers(number: int, *, kept: int = 1, in_turn: bool = False, start_apart: float = 0) -> Way:
    """One of some idle workers answers, and as long as its connection is kept; each may show a start of its own."""

    def made(server: Server, seed: int) -> Shown:
        draw, chosen = random.Random(f"{number} {seed}"), dict[str, tuple[int, int]]()

        def shown(pod: str, _poll: int) -> str:
            worker, left = chosen.get(pod, (draw.randrange(number), 0))
            if not left:
                worker = (worker + 1) % number if in_turn else draw.randrange(number)
                left = draw.randint(1, 2 * kept - 1)
            chosen[pod] = worker, left - 1
            page = server.page(1000 * (worker + 1), 10 * (worker + 1))
            if not start_apart:
                return page
            return f"{_without_start(page)}process_start_time_seconds {1.7e9 + start_apart * worker}\n"

        return shown

    return made


def _some_jump(server: Server, seed: int) -> Shown:
    """Only the canary's workers do not share their counters, with a start of their own each."""
    draw = random.Random(f"3 {seed}")

    def shown(pod: str, poll: int) -> str:
        if not pod.startswith("canary"):
            return server.page(1000 + 100 * poll, 10 + poll)
        worker = draw.randrange(3)
        page = _without_start(server.page(900 * worker + 90, 9 * worker))
        return f"{page}process_start_time_seconds {1.7e9 + 100 * worker}\n"

    return shown


def _canary_says(change: Callable[[str, int], str | Body]) -> Way:
    """Stable is well; the canary fails every second request, and its page is wrong."""

    def made(server: Server, seed: int) -> Shown:
        inner = counting(server, canary_errors=0.5, seed=seed)

        def shown(pod: str, poll: int) -> str | Body:
            page = inner(pod, poll)
            return change(str(page), poll) if pod.startswith("canary") else page

        return shown

    return made


def _canary_counts(totals: Callable[[int], tuple[int, int]]) -> Way:
    """Stable is well; the canary shows these requests and failures at each poll."""
    return lambda server, _seed: (
        lambda pod, poll: (
            server.page(*totals(poll))
            if pod.startswith("canary")
            else server.page(1000 + 100 * poll, 10 + poll)
        )
    )


def _renamed(page: str) -> str:
    return re.sub(r'="(fraud|/predict|infer|/v1/completions)"', '="other"', page)


def _valued(value: Callable[[str], str]) -> Callable[[str, int], str]:
    return lambda page, _: re.sub(r"\} (\d+)", lambda found: f"}} {value(found[1])}", page)


SILENT: dict[str, Way] = {
    "idle": _still(lambda page: page),
    "idle, one worker of 2": _idle_workers(2, start_apart=60),
    "idle, one worker of 4": _idle_workers(4, start_apart=60),
    "idle, one worker of 16, in turn": _idle_workers(16, in_turn=True, start_apart=60),
    "idle, one worker of 3, for some polls": _idle_workers(3, kept=6, start_apart=60),
    "idle, workers forked at once": _idle_workers(4, start_apart=0.3),
    "the canary's workers jump": _some_jump,
    "born, and never asked": lambda server, _: lambda _pod, _poll: server.page(0, 0),
    "no canary request": _canary_counts(lambda _: (0, 0)),
    "stands still": _canary_counts(lambda _: (500, 0)),
    "falls at every poll": _canary_says(lambda page, poll: re.sub(r"\} \d+", f"}} {9000 - poll}", page)),
    "up and down": _canary_counts(lambda poll: ((0, 900)[poll % 2], 0)),
    "saw teeth": _canary_counts(lambda poll: (1000 + 90 * (poll % 5), 0)),
    "other labels": _still(_renamed),
    "the canary's labels differ": _canary_says(lambda page, _: _renamed(page)),
    "another name": _canary_says(
        lambda page, _: re.sub(r"(?m)^(# TYPE )?", r"\1x_", page).replace("x_#", "#")
    ),
    "empty": _still(lambda _: ""),
    "the canary's page is empty": _canary_says(lambda _page, _poll: ""),
    "comments alone": _canary_says(lambda page, _: re.sub(r"(?m)^[^#].*\n", "", page)),
    "HTML": _still(lambda _: Body("<html><body>ok</body></html>", "text/html")),
    "JSON": _canary_says(lambda _page, _poll: Body('{"status": "ok"}', "application/json")),
    "cut short": _canary_says(lambda page, _: page[: len(page) // 2].rstrip("0123456789")),
    "NaN": _canary_says(_valued(lambda _: "NaN")),
    "negative": _canary_says(_valued(lambda value: f"-{value}")),
    "infinite": _canary_says(_valued(lambda _: "+Inf")),
    "too large to be exact": _canary_says(_valued(lambda value: f"{value}e18")),
    "no numbers": _canary_says(_valued(lambda _: "many")),
    "hexadecimal": _canary_says(_valued(lambda value: f"0x{value}")),
    "every series twice": _canary_says(lambda page, _: page + re.sub(r"(?m)^#.*\n", "", page)),
    "gauges": _canary_says(lambda page, _: re.sub(r"(?m)^(# TYPE \S+) counter$", r"\1 gauge", page)),
    "of two types": _canary_says(
        lambda page, _: page + re.sub(r"(?m)^(# TYPE \S+) counter$|^[^#].*\n", r"\1 gauge", page)
    ),
}
BAD = {way for way in SILENT if getattr(SILENT[way], "__qualname__", "").startswith("_canary_says")}
"""Ways of a canary that fails every second request: what of it can still be read may well show."""


# --- unusual: can be read, and says that both are alike -----------------------------------------------------------


def _alike(change: Callable[[str, random.Random], str | Body]) -> Way:
    """Equal arms, and something unusual about every page."""

    def made(server: Server, seed: int) -> Shown:
        inner, draw = counting(server, canary_errors=0.01, seed=seed), random.Random(f"{seed}")
        return lambda pod, poll: change(str(inner(pod, poll)), draw)

    return made


def _samples(after: Callable[[str, str], str]) -> Callable[[str, random.Random], str]:
    return lambda page, _: _SAMPLE.sub(lambda found: after(found[1], found[2]), page)


def _shuffled(page: str, draw: random.Random) -> str:
    lines = page.splitlines()
    types, series = [each for each in lines if each[:1] == "#"], [each for each in lines if each[:1] != "#"]
    draw.shuffle(series)
    return "\n".join((*types, *series, ""))


def _more_labels(name: str, value: str) -> Callable[[str, random.Random], str]:
    return lambda page, _: re.sub(r"(?m)^([^#\n{]+)\{", rf'\1{{{name}="{value}",', page)


def _lost(share: float) -> Way:
    """Some polls fail: the page is cut in a line that counts."""

    def made(server: Server, seed: int) -> Shown:
        inner, draw = counting(server, canary_errors=0.01, seed=seed), random.Random(f"{seed}")

        def shown(pod: str, poll: int) -> str:
            page = str(inner(pod, poll))
            return page.rstrip("\n0123456789.e+") if draw.random() < share else page

        return shown

    return made


UNUSUAL: dict[str, Way] = {
    "plain": _alike(lambda page, _: page),
    "CRLF and a byte order mark": _alike(lambda page, _: "\ufeff" + page.replace("\n", "\r\n")),
    "as HTML": _alike(lambda page, _: Body(page, "text/html")),
    "exponents": _alike(_samples(lambda series, value: f"{series} {float(value):.9e}")),
    "decimal points": _alike(_samples(lambda series, value: f"{series} {float(value):.3f}")),
    "time stamps": _alike(_samples(lambda series, value: f"{series} {value} 1700000000123")),
    "exemplars": _alike(
        _samples(lambda series, value: f'{series} {value} # {{trace_id="a}} b"}} 0.67 1700000000.1')
    ),
    "created times": _alike(
        _samples(
            lambda series, value: (
                f"{series} {value}\n{re.sub(r'^[^{ ]+?(_total)?(?={|$)', 'x_created', series)} 1.7e9"
            )
        )
    ),
    "start times of OpenMetrics 2": _alike(
        _samples(lambda series, value: f"{series} {value} st@1700000000.1")
    ),
    "tabs and blanks": _alike(_samples(lambda series, value: f" \t{series}  \t {value} ")),
    "families twice": _alike(lambda page, _: page + "".join(re.findall(r"(?m)^# TYPE .*\n", page))),
    "without types": _alike(lambda page, _: re.sub(r"(?m)^#.*\n", "", page)),
    "types unknown": _alike(
        lambda page, _: re.sub(r"(?m)^(# TYPE \S+) (counter|histogram)$", r"\1 unknown", page)
    ),
    "series in any order": _alike(_shuffled),
    "huge values of labels": _alike(_more_labels("extra", "x" * 3000)),
    "quotes and braces in labels": _alike(_more_labels("extra", r"a\\\\\"}{,=\\n ü")),
    "comments of all kinds": _alike(lambda page, _: f"#\n# UNIT x seconds\n#x\n\n{page}\n# EOF\n"),
    "a broken start of the process": _alike(
        lambda page, draw: (
            _without_start(page) + f"process_start_time_seconds {draw.choice(['', 'NaN', 'x', '-1'])}\n"
        )
    ),
    "a clock that is set": _alike(
        lambda page, draw: (
            _without_start(page) + f"process_start_time_seconds {1.7e9 + draw.choice([-1, 0, 1])}\n"
        )
    ),
    "one poll of twenty is lost": _lost(0.05),
    "summaries beside them": _alike(
        lambda page, _: f'# TYPE x summary\nx{{quantile="0.5"}} NaN\nx_sum 1\nx_count 2\n{page}'
    ),
}
