"""Fixtures of the tests on a real node."""

import pytest

from devcluster import Cluster, ensure_up
from devcluster.gateway import Gateway
from devcluster.images import build_image


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Cluster:
    """The cluster; its real node has the model server's image."""
    if not cluster.has_node:
        pytest.skip("no real node on this machine: pods cannot run")
    cluster.load_image(build_image("model-server"))
    return cluster


@pytest.fixture(scope="session")
def gateway(node: Cluster) -> Gateway:
    """The cluster's Gateway, for models on the real node."""
    wider = ensure_up(node.name, with_gateway=True)
    assert wider.gateway is not None
    return wider.gateway
