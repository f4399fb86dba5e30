"""Where a benchmark runs: a cluster of its own, our CRDs and RBAC in it, the operator as a process."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from conftest import OPERATOR_NAMESPACE, install
from devcluster import Cluster, ensure_up, find
from support.kubectl import Kubectl
from support.operator import OperatorProcess

NAMESPACE = f"bench-{int(time.time())}"
"""Of this run alone: for a while the API server looks up a namespace whose name was just deleted at every create."""
OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:modelward"

_LABEL = "purpose=bench"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a benchmark has in hand."""

    cluster: Cluster
    admin: Kubectl
    operator: OperatorProcess
    """Not started yet."""
    say: Say


def stopwatch() -> Say:
    """Prints lines of progress on standard error, with seconds since now."""
    began = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - began:6.1f} s] {text}", file=sys.stderr, flush=True)


@contextmanager
def prepared(
    name: str, *, fake_nodes: int = 0, node: bool = False, gateway: bool = False, keep: bool = False
) -> Iterator[Setting]:
    """A cluster with an empty namespace. All that was started is stopped, but with `keep` the cluster."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up like Ctrl-C
    say = stopwatch()
    with _cluster(name, fake_nodes=fake_nodes, node=node, gateway=gateway, keep=keep, say=say) as cluster:
        admin = Kubectl(cluster)
        install(admin)
        admin("delete", "namespace", "--selector", _LABEL)  # of a run that kept the cluster
        admin("create", "namespace", NAMESPACE)
        admin("label", "namespace", NAMESPACE, _LABEL, "pod-security.kubernetes.io/enforce=restricted")
        credentials = cluster.kubeconfig_for(OPERATOR_NAMESPACE, "modelward")
        operator = OperatorProcess(credentials, cluster.directory / "logs", fresh=True)
        try:
            yield Setting(cluster=cluster, admin=Kubectl(cluster, NAMESPACE), operator=operator, say=say)
        except Exception:
            say(f"failed; the operator's log ends with:\n{operator.text()[-2000:]}")
            raise
        finally:
            operator.stop()


@contextmanager
def _cluster(
    name: str, *, fake_nodes: int, node: bool, gateway: bool, keep: bool, say: Say
) -> Iterator[Cluster]:
    try:
        cluster = ensure_up(name, node=node, kwok=fake_nodes, with_gateway=gateway)
        say(f"cluster {name} is up, Kubernetes {cluster.kubernetes}")
        yield cluster
    finally:
        if keep:
            say(f"cluster {name} is kept; remove it: python -m devcluster down --name {name} --wipe")
        elif made := find(name):  # perhaps only half of it
            made.down(wipe=True)
            say(f"cluster {name} is gone")
