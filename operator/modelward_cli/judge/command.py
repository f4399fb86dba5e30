"""`modelward judge`: recorded or live counters in, verdicts out, line by line."""

import pickle
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TextIO

import msgspec

from modelward.api.printable import printable
from modelward.errors import InvalidLine
from modelward_cli.judge.protocol import Header, Line, parsed
from modelward_cli.judge.replay import Replay, Said

EXIT_REFUSED = 1
"""Some lines could not be used."""
MOST_ACTIVE = 1000
"""Rollouts kept in memory; those not heard of for longest are put aside on disk."""


class Session:
    """All rollouts of one stream."""

    def __init__(self, *, walk: bool, every: bool) -> None:
        self._walk = walk
        self._every = every
        self._active: OrderedDict[str | int, Replay] = OrderedDict()
        self._parked = Spill()
        self._ended: set[str | int] = set()
        self._order: dict[str | int, None] = {}

    def take(self, line: Line) -> Iterator[Said]:
        """What there is to say after a line. Raises InvalidLine."""
        name = line.rollout
        if name in self._ended:
            if line.header and not line.poll:
                raise InvalidLine(f"rollout {name} is decided already; another one needs a name of its own")
            return
        replay = self._replay(name)
        if line.header:
            if replay:
                raise InvalidLine(
                    f"rollout {name} has begun already: its policy and reference come first, and once"
                )
            replay = self._keep(name, Replay(line.header, walk=self._walk, every=self._every))
        if line.poll is None:
            return
        if replay is None:
            replay = self._keep(name, Replay(Header(), walk=self._walk, every=self._every))
        if replay.time is not None and line.poll.time <= replay.time:
            raise InvalidLine(f"time {line.poll.time:g} of rollout {name} is not after {replay.time:g}")
        for said in replay.take(line.poll):
            yield said
            if said.ends and not self._every:
                self._drop(name)
                return

    def rest(self) -> Iterator[tuple[str | int, Said]]:
        """The last state of each rollout that is not decided, in the order of their first lines."""
        for name in self._order:
            if name in self._ended:
                continue
            replay = self._replay(name)
            if replay and not replay.is_answered and (said := replay.last()):
                yield name, said

    def _replay(self, name: str | int) -> Replay | None:
        replay = self._active.get(name)
        if replay is None and (replay := self._parked.take(name)) is not None:
            self._keep(name, replay)
        if replay is not None:
            self._active.move_to_end(name)
        return replay

    def _keep(self, name: str | int, replay: Replay) -> Replay:
        self._active[name] = replay
        self._order[name] = None
        while len(self._active) > MOST_ACTIVE:
            self._parked.put(*self._active.popitem(last=False))
        return replay

    def _drop(self, name: str | int) -> None:
        self._ended.add(name)
        self._active.pop(name, None)


class Spill:
    """Rollouts without a line for long, on disk: a stream of any length is judged in little memory.

    A temporary database, which its file system forgets as soon as the process ends.
    """

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def put(self, name: str | int, replay: Replay) -> None:
        """Put a rollout aside."""
        if self._database is None:
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.execute("PRAGMA journal_mode = OFF")
            self._database.execute("CREATE TABLE parked (name TEXT PRIMARY KEY, replay BLOB)")
        self._database.execute(
            "INSERT OR REPLACE INTO parked VALUES (?, ?)", (repr(name), pickle.dumps(replay, protocol=5))
        )

    def take(self, name: str | int) -> Replay | None:
        """The rollout that was put aside under `name`, or None."""
        if self._database is None:
            return None
        row = self._database.execute(
            "DELETE FROM parked WHERE name = ? RETURNING replay", (repr(name),)
        ).fetchone()
        # Only this process writes to the database, and nobody else can open it.
        replay: Replay | None = pickle.loads(row[0]) if row else None  # noqa: S301
        return replay


def judge(lines: Iterable[bytes], out: TextIO, *, walk: bool, every: bool, text: bool) -> int:
    """The exit code after all lines: 0, or EXIT_REFUSED when some could not be used."""
    session = Session(walk=walk, every=every)
    refused = 0
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            line = parsed(raw)
            if line.header and line.header.unheeded:
                _note(number, f"not heeded in policy: {', '.join(line.header.unheeded)}")
            for said in session.take(line):
                _print(out, line.rollout, said, text=text)
        except InvalidLine as error:
            refused += 1
            _note(number, str(error))
    for name, said in session.rest():
        _print(out, name, said, text=text)
    out.flush()
    if refused:
        _complain(f"modelward: {refused} {'line was' if refused == 1 else 'lines were'} not used")
    return EXIT_REFUSED if refused else 0


def _print(out: TextIO, rollout: str | int, said: Said, *, text: bool) -> None:
    if text:
        out.write(printable(f"{rollout}  {said.time:g}s  {said.word}  {said.message}") + "\n")
    else:
        entry = {
            "rollout": rollout,
            "verdict": said.word.value,
            "time": said.time,
            "odds": float(f"{said.odds:.6g}"),
            "metric": said.metric or None,
            "message": said.message,
        }
        out.write(msgspec.json.encode(entry).decode() + "\n")
    # Who feeds us through a pipe may wait for the verdict before the next scrape.
    out.flush()


def _note(number: int, message: str) -> None:
    _complain(f"modelward: line {number}: {message}")


def _complain(message: str) -> None:
    sys.stderr.write(f"{printable(message)}\n")
