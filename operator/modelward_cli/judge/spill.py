"""Rollouts without a line for long, on disk: a stream of any length is judged in little memory."""

import pickle
import sqlite3

from modelward_cli.judge.replay import Replay


class Spill:
    """A temporary database, which its file system forgets as soon as the process ends."""

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
