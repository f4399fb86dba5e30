"""The picture of the README, drawn from a recording of a real rollout."""

import json
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

from demo.recording import point, simulated
from generate import picture

SVG: Final = "{http://www.w3.org/2000/svg}"
MOST_BYTES: Final = 100_000


def points() -> list[dict[str, Any]]:
    """The committed recording."""
    return [json.loads(line) for line in picture.RECORDING.read_text(encoding="utf-8").splitlines()]


def test_the_recording_is_of_a_rollback() -> None:
    """The canary had traffic and errors, the odds passed the limit, and in the end it has no traffic."""
    found = points()
    assert max(each["weightPercent"] for each in found) > 0
    assert max(each["odds"] or 0 for each in found) >= picture.LIMIT
    assert found[-1]["weightPercent"] == 0
    assert "rolled back" in found[-1]["message"].lower()


def test_the_picture_is_small_and_well_formed() -> None:
    """An SVG of three charts, with text that can be read and searched for."""
    text = picture.svg()
    assert len(text.encode()) < MOST_BYTES
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert root.tag == f"{SVG}svg"
    labels = {each.text for each in root.iter(f"{SVG}text")}
    assert {"traffic", "errors", "evidence", "canary", "stable", "100:1"} <= labels
    assert "prefers-color-scheme: dark" in text


def test_a_line_is_what_status_says(tmp_path: Path) -> None:
    """A status of the operator is read as it is written, and one without a rollout is drawn, too."""
    status = {
        "rollout": {"state": "Analyzing", "weightPercent": 25, "actualWeightPercent": 33},
        "analysis": {
            "odds": "120",
            "metrics": [
                {"name": "latency", "canaryHits": "9"},
                {"name": "errors", "canaryHits": "5", "canaryTotal": "100", "stableTotal": "200"},
            ],
        },
        "conditions": [{"type": "Ready", "message": "Canary is judged."}],
    }
    first, last = point({"status": status}, 1.0), point({"status": {}}, 9.0)
    assert first == {
        "second": 1.0,
        "state": "Analyzing",
        "weightPercent": 33,
        "canary": [5.0, 100.0],
        "stable": [0.0, 200.0],
        "odds": 120.0,
        "message": "Canary is judged.",
    }
    file = tmp_path / "some.jsonl"
    file.write_text(f"{json.dumps(first)}\n{json.dumps(last)}\n", encoding="utf-8")
    assert picture.svg(file).startswith("<svg")


def test_the_simulator_gives_a_recording_of_a_rollback() -> None:
    """The command that needs no cluster has the fields of one on a real cluster, and ends in the same way."""
    found = simulated()
    assert found[0].keys() == points()[0].keys()
    assert max(each["odds"] or 0 for each in found) >= picture.LIMIT
    assert found[-1]["message"].startswith("Rolled back")
