"""Logs: one record, one line, whatever is in it; and nothing of others' requests and answers."""

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from modelward.logs import configure
from modelward.settings import LogSettings

FORGED = "x\n2026-11-22 22:00:00,000 INFO    all is well\x1b[2K\u202e"
RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ ")
OTHERS = ("kopf.objects", "httpx", "httpcore.http11", "kubernetes.client.rest", "asyncio", "aiohttp.access")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The loggers as they were."""
    root, ours = logging.getLogger(), logging.getLogger("modelward")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def raised(message: str) -> None:
    """Log an error with that message, and its traceback."""
    error = ValueError(message)
    logging.getLogger("modelward.controller.reconcile").error("%s: unexpected", message, exc_info=error)


def test_a_message_is_one_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    """A line break in a name makes no second record."""
    configure(LogSettings(format="text"))
    logging.getLogger("modelward.controller.apply").info("created %s", FORGED)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(r"created x\n2026-11-22 22:00:00,000 INFO    all is well\x1b[2K\u202e")


def test_no_line_of_a_traceback_passes_for_a_record(capsys: pytest.CaptureFixture[str]) -> None:
    """The text of an error is somebody's, too."""
    configure(LogSettings(format="text"))
    raised(FORGED)
    first, *rest = capsys.readouterr().err.splitlines()
    assert RECORD.match(first)
    assert any("all is well" in line for line in rest)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_record_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """In ASCII, so that no terminal is reported anything by it; the reader gets the text as it was."""
    configure(LogSettings(format="json"))
    raised(FORGED)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"{FORGED}: unexpected"
    assert FORGED in json.loads(line)["exc_info"]


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("form", ["json", "text"])
def test_what_others_say_below_warnings_is_left_out(
    name: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the lowest level HTTP clients log headers and bodies."""
    configure(LogSettings(level="DEBUG", format=form))
    logging.getLogger(name).debug("response body: %s", "secret")
    logging.getLogger(name).info("HTTP Request: POST https://user:secret@prometheus/")
    logging.getLogger("modelward.controller.reconcile").debug("ours")
    logging.getLogger(name).warning("theirs")
    reported = capsys.readouterr().err
    assert "secret" not in reported
    assert "ours" in reported
    assert "theirs" in reported


def test_the_level_counts_for_all_above_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    """ERROR leaves out warnings, ours and others'."""
    configure(LogSettings(level="ERROR"))
    for name in ("modelward.controller.reconcile", "kopf"):
        logging.getLogger(name).warning("left out")
        logging.getLogger(name).error("said")
    assert [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()] == ["said"] * 2


def test_logging_goes_to_standard_error() -> None:
    """Where a container's log is."""
    configure(LogSettings())
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    assert handler.stream is sys.stderr
