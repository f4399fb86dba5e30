"""Fixtures of the tests that need a real Kubernetes: one cluster for the session, a namespace for each module.

The cluster is the development cluster `test` (see devcluster), or one for each lane (see lanes), and another one for another
version of Kubernetes. If it runs already it is used and left running, so that a second run of a test starts at once:
`python -m devcluster up --name test --kwok 2`.
"""

import os
import re
import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import lanes
from devcluster import Cluster, ensure_up, report
from devcluster import plan as plans
from lanes.processor import Meter
from support import accounts
from support.kubectl import Kubectl
from support.operator import OperatorProcess
from support.repeatable import draw_the_same_examples

ROOT = Path(__file__).parent.parent
OPERATOR_NAMESPACE = "modelward-system"
FAKE_NODES = 2
METER = pytest.StashKey[Meter]()
BEFORE = pytest.StashKey[float]()

draw_the_same_examples()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the tests that need a cluster."""
    parser.addoption(
        "--lanes", action="store_true", help="Hand out whole modules to workers (`python -m lanes`)."
    )
    parser.addoption(
        "--measure", action="store_true", help="Note the processor time of each test and its cluster."
    )
    parser.addoption("--drawn-order", type=int, metavar="SEED", help="Draw the order of modules and tests.")


def pytest_configure(config: pytest.Config) -> None:
    """Count processor time where it was asked for."""
    if config.getoption("--measure"):
        config.stash[METER] = Meter(lanes.cluster_name(os.environ))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests. Those marked `last` look back on all others."""
    lanes.arrange(items, config.getoption("--drawn-order"))
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.hookimpl(optionalhook=True)  # one process, by `-p no:xdist`, has no scheduler
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> lanes.Scheduler | None:
    """Tests of a cluster are handed out by module."""
    return lanes.Scheduler(config, log) if config.getoption("--lanes") else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note how long the lane computed since the test before."""
    meter = item.config.stash.get(METER, None)
    if meter:
        item.stash[BEFORE] = meter.seconds()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The same, written into the report with the tear-down, which is the last that is known of a test."""
    try:
        return (yield)
    finally:
        if BEFORE in item.stash:
            busy = item.config.stash[METER].seconds() - item.stash[BEFORE]
            item.user_properties.append((lanes.PROCESSOR, f"{busy:.2f}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note which modules ran."""
    accounts.note_module(item.path.stem)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure at once: the summary of a run in lanes is a quarter of an hour away."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        why = [line for line in report.longreprtext.splitlines() if line.startswith("E ")][:5]
        print(f"\n{report.when} failed: {report.nodeid}", *why, sep="\n", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not run, on a line of its own: a program that is missing must not pass unseen."""
    if skipped := len(terminalreporter.getreports("skipped")):
        terminalreporter.write_line(f"NOT RUN: {skipped} tests; the reasons are above", yellow=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With MODELWARD_REQUIRE_ALL=1, as in the nightly run, a test that did not run is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    required = os.environ.get("MODELWARD_REQUIRE_ALL") == "1"
    if required and reporter and reporter.getreports("skipped") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Kubernetes with our CRDs and RBAC in it; with a real node where the machine allows one."""
    name = lanes.cluster_name(os.environ)
    plan = plans.load(name)
    was_running = plan is not None and report.status(plan).ready
    cluster = ensure_up(name, kwok=FAKE_NODES)
    try:
        install(Kubectl(cluster))
        yield cluster
    finally:
        accounts.keep(cluster)
        if not was_running:
            cluster.down(wipe=True)


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Kubectl:
    """Kubectl with the administrator's rights, without a namespace of its own."""
    return Kubectl(cluster)


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test module, which enforces Pod Security `restricted`; deleted afterwards."""
    subject = re.sub(r"[^a-z0-9]+", "-", request.module.__name__.rpartition(".")[2].lower()).strip("-")
    name = f"{subject}-{secrets.token_hex(2)}"  # one that a killed run left behind is no blocker
    admin = Kubectl(cluster)
    admin("create", "namespace", name)
    admin("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield name
    finally:
        admin("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster, namespace: str) -> Kubectl:
    """Kubectl with the administrator's rights in the module's namespace."""
    return Kubectl(cluster, namespace)


@pytest.fixture(scope="session")
def credentials(cluster: Cluster) -> Path:
    """A kubeconfig with exactly the rights that are shipped."""
    return cluster.kubeconfig_for(OPERATOR_NAMESPACE, "modelward")


@pytest.fixture(scope="module")
def operator(credentials: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator as a process, with exactly the rights that are shipped; for the whole cluster."""
    process = OperatorProcess(credentials, tmp_path_factory.mktemp("operator"))
    try:
        process.start()
        yield process
    finally:
        process.stop()


def install(admin: Kubectl, root: Path = ROOT) -> None:
    """The CRDs, and what the operator's process needs of manifests/base: its account and its rights."""
    install_crds(admin, root)
    install_rights(admin, root)


def install_crds(admin: Kubectl, root: Path = ROOT) -> None:
    """The CRDs, which the API server serves when this returns."""
    admin("apply", "-f", str(root / "crds"))
    for crd in sorted((root / "crds").glob("*.yaml")):
        kind = crd.stem.replace("modelward.dev_", "") + ".modelward.dev"
        admin("wait", "--for=condition=Established", f"crd/{kind}", "--timeout=30s")


def install_rights(admin: Kubectl, root: Path = ROOT) -> None:
    """The operator's account, and exactly the rights that are shipped."""
    base = root / "manifests" / "base"
    admin("apply", "-f", str(base / "namespace.yaml"))
    for part in ("service-account", "role", "role-binding", "leader-election", "user-roles"):
        admin("apply", "-n", OPERATOR_NAMESPACE, "-f", str(base / f"{part}.yaml"))
