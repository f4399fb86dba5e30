"""Lanes: which cluster a process has."""

import pytest

import lanes
from devcluster import versions
from devcluster.paths import NAME


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        pytest.param({}, "test", id="alone"),
        pytest.param({"PYTEST_XDIST_WORKER": "gw2"}, "test-2", id="a lane"),
        pytest.param({versions.VARIABLE: "1.34"}, "test-1-34", id="another version"),
        pytest.param({versions.VARIABLE: versions.DEFAULT}, "test", id="the default, asked for"),
        pytest.param(
            {versions.VARIABLE: "1.34", "PYTEST_XDIST_WORKER": "gw2"}, "test-1-34-2", id="a lane of it"
        ),
        pytest.param(
            {"MODELWARD_TEST_CLUSTER": "mine", versions.VARIABLE: "1.34", "PYTEST_XDIST_WORKER": "gw0"},
            "mine-0",
            id="a name of one's own",
        ),
    ],
)
def test_cluster_name(environment: dict[str, str], name: str) -> None:
    """Two lanes, or two versions of Kubernetes, never share a cluster."""
    assert lanes.cluster_name(environment) == name
    assert NAME.fullmatch(name)
