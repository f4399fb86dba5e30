"""What a pod's fetch container says: read if it is a report, and nothing otherwise, whoever wrote it."""

import json
from typing import Any

import pytest

from modelward.api import fetch_report
from modelward.api.conditions import Reason
from modelward.api.fetch_report import FetchReason, Identity, read_report
from modelward.projection.controller_revision import LARGEST_PIN_BYTES, PIN_FILE
from modelward_fetch import failures, pin, report
from modelward_fetch.redaction import Redactor
from modelward_fetch.sources import base

SHA = f"sha256:{'a' * 64}"
DONE: dict[str, Any] = {
    "version": 1,
    "result": "Fetched",
    "resolved": "s3://models/fraud/1?versionId=7",
    "identity": "Pinned",
    "digest": SHA,
    "listing": SHA,
    "files": 2,
    "bytes": 10,
}


def test_a_report_of_success() -> None:
    """All that the operator compares and shows."""
    found = read_report(json.dumps(DONE))
    assert found
    assert found.succeeded
    assert (found.resolved, found.identity, found.bytes) == (DONE["resolved"], Identity.PINNED, 10)


def test_a_report_of_failure_is_a_phrase_with_its_remedy() -> None:
    """What a condition says after the revision's name."""
    failed = failures.not_found("s3://models/x does not exist")
    text = report.Report(result="Failed").failed(failed).as_json(Redactor())
    found = read_report(text)
    assert found
    assert not found.succeeded
    assert found.words == (
        "its model cannot be fetched (NotFound): s3://models/x does not exist. Check the address, letter by letter"
        " (spec.model.uri)"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OOMKilled",
        "[]",
        "{}",
        json.dumps(DONE | {"digest": "sha256:1"}),
        json.dumps(DONE | {"resolved": "s3://models/\u001b[2J"}),
        json.dumps(DONE | {"reason": "Because"}),
        json.dumps(DONE | {"files": -1}),
        json.dumps(DONE | {"bytes": 1e300}),
        json.dumps(DONE | {"message": "x" * 5000}),
        "[" * 4000,
    ],
)
def test_what_is_no_report(text: str) -> None:
    """A wrong type, an unknown word, a length beyond the bounds: nothing is believed."""
    assert read_report(text) is None


def test_control_characters_of_a_message_are_shown_as_escapes() -> None:
    """The words go to conditions and Events."""
    found = read_report(
        json.dumps(DONE | {"result": "Failed", "reason": "Denied", "message": "a\u001b[2Jb\nc"})
    )
    assert found
    assert found.words.isprintable()


def test_both_sides_know_the_same_words() -> None:
    """The program is another package; what it says must be in the operator's closed sets."""
    assert {each.value for each in failures.Reason} == {each.value for each in FetchReason}
    assert {each.value for each in FetchReason} <= {each.value for each in Reason}
    assert {each.value for each in base.Identity} == {each.value for each in Identity}
    assert (report.LARGEST_BYTES, fetch_report.LARGEST_BYTES) == (4096, 4096)


def test_both_sides_know_the_same_pin() -> None:
    """The file and its largest size."""
    assert (PIN_FILE, LARGEST_PIN_BYTES) == (pin.FILE, pin.LARGEST_BYTES)
