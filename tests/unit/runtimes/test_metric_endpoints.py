"""Where the server of a revision shows its metrics."""

from dataclasses import replace
from typing import Any

import pytest

from builders import make_revision
from modelward.runtimes.metric_endpoints import measured


@pytest.mark.parametrize(
    ("ports", "port", "number"),
    [
        pytest.param({"http": 80, "metrics": 82}, "metrics", 82, id="by its name"),
        pytest.param({"http": 80}, "metrics", 80, id="a name that no port has is http"),
        pytest.param({"http": 80, "metrics": 80}, "metrics", 80, id="shared with http"),
        pytest.param({"http": 80, "grpc": 81, "metrics": 81}, "metrics", 81, id="shared with another"),
        pytest.param({}, "metrics", 8080, id="the usual port"),
        pytest.param({"http": 80}, 9000, 9000, id="a number"),
    ],
)
def test_the_port_of_the_page(ports: dict[str, int], port: str | int, number: int) -> None:
    """A pod names a number only once, so that the pod does not show."""
    words: dict[str, Any] = {"image": "a", "ports": ports, "metrics": {"port": port}}
    revision = make_revision("1", runtime=words)
    assert measured(revision).port == number
    assert measured(replace(revision, name="other", runtime={})).port == number
