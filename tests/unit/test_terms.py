"""Whose turn it was, by lines of an audit log."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.terms import account

LEASE = ("system", "modelward")
OLD, NEW = "one", "two"


def line(who: str, second: float, resource: str = "modeldeployments", *, name: str = "a") -> dict[str, Any]:
    """A PATCH that was taken."""
    namespace, name = LEASE if resource == "leases" else ("shop", name)
    time = datetime.fromtimestamp(second, UTC).isoformat()
    return {
        "stage": "ResponseComplete",
        "verb": "patch",
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
        "userAgent": f"modelward/1 ({who})",
        "objectRef": {"resource": resource, "namespace": namespace, "name": name},
        "responseStatus": {"code": 200},
    }


def log(directory: Path, *lines: dict[str, Any]) -> Path:
    """The file."""
    path = directory / "audit.log"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines), encoding="utf-8")
    return path


def test_who_led_before_the_account_begins_has_its_turn_until_another_takes_over(tmp_path: Path) -> None:
    """Its next renewal may come after its next write."""
    lines = [
        line(OLD, 98, "leases"),
        line(OLD, 101),
        line(NEW, 102, "leases"),
        line(OLD, 103),
        line(NEW, 104),
    ]
    found = account(log(tmp_path, *lines), LEASE, since=100)
    assert [each.received for each in found.landed_out_of_turn()] == [103]
    assert [term.who for term in found.terms] == [NEW]
    assert found.incumbent == OLD


def test_nobody_has_a_turn_before_the_first_term(tmp_path: Path) -> None:
    """A write by who has not led is out of turn."""
    found = account(log(tmp_path, line(NEW, 101), line(NEW, 102, "leases")), LEASE, since=100)
    assert [each.received for each in found.landed_out_of_turn()] == [101]


def test_what_is_older_is_left_out(tmp_path: Path) -> None:
    """And so is what happened elsewhere."""
    lines = [line(OLD, 98, "leases"), line(OLD, 99, name="b"), line(OLD, 101, name="c")]
    found = account(log(tmp_path, *lines), LEASE, since=100)
    assert [each.name for each in found.within("shop")] == ["c"]
    assert found.within("elsewhere") == []
