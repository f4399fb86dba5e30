"""Several operators that share one Lease, as processes that can be harmed; and somebody who changes models all the time."""

import itertools
import random
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from devcluster import Cluster
from support.api_server import administrator
from support.elsewhere import ELSEWHERE, SENT_FILE
from support.kubectl import Kubectl
from support.models import fake_model
from support.operator import OperatorProcess
from support.severable import Severable
from support.waiting import until

LEASE_NAME: Final = "modelward"
ROLE: Final = Path(__file__).parents[2] / "manifests" / "base" / "leader-election.yaml"
_IDENTITY: Final = re.compile(r"candidate for \S+ \S+: (\S+)")
_MODELS: Final = "/apis/modelward.dev/v1alpha1/namespaces/{namespace}/modeldeployments/{name}"
_EVERY: Final = 5
"""Of so many changes one makes a new revision; the others only change the autoscaler."""


class Harm(StrEnum):
    """What may happen to a leader."""

    KILL = "kill -9"
    END = "SIGTERM"
    FREEZE = "SIGSTOP"
    CUT = "cut off"


class Replica:
    """One operator, with a way of its own to the API server."""

    def __init__(self, server: str, credentials: Path, directory: Path, *flags: str) -> None:
        """Nothing is started yet but the way. `flags` are those of every start."""
        directory.mkdir(parents=True)
        self.way = Severable(server)
        kubeconfig = self.way.kubeconfig(credentials, directory / "kubeconfig")
        self.process = OperatorProcess(kubeconfig, directory, *flags)
        self._directory = directory
        self._harmed: Harm | None = None
        self._starts = 0
        self._sent: list[Path] = []

    def launch(self) -> None:
        """Start the process, and do not wait."""
        self._starts += 1
        sent = self._directory / f"sent-{self._starts}"
        self.process.environment[SENT_FILE] = str(sent)
        self.process.launch(program=ELSEWHERE)
        self._sent.append(sent)

    def sent(self) -> dict[str, list[float]]:
        """By identity of each process that ran here: when it sent what changes something, the Lease apart."""
        log = self.process.log.read_text(encoding="utf-8")
        identities = dict.fromkeys(_IDENTITY.findall(log))  # reported anew after each loss
        return {
            identity: [
                float(line.split()[0]) for line in file.read_text().splitlines() if "/leases" not in line
            ]
            for identity, file in zip(identities, self._sent, strict=True)
        }

    @property
    def identity(self) -> str:
        """What it calls itself in the Lease."""
        found = _IDENTITY.search(self.process.text())
        return found.group(1) if found else ""

    def harm(self, how: Harm) -> None:
        """Do it, and do not wait for what comes of it."""
        self._harmed = how
        match how:
            case Harm.KILL:
                self.process.kill()
            case Harm.END:
                self.process.send(signal.SIGTERM)
            case Harm.FREEZE:
                self.process.send(signal.SIGSTOP)
            case Harm.CUT:
                self.way.cut()

    def reconnect(self) -> None:
        """Make it a candidate again: as it was, or as a new process."""
        harmed, self._harmed = self._harmed, None
        match harmed:
            case Harm.KILL | Harm.END:
                self.process.stop()
                self.launch()
            case Harm.FREEZE:
                self.process.send(signal.SIGCONT)
            case Harm.CUT:
                self.way.reconnect()

    def end(self) -> None:
        """Stop all that was started."""
        if self._harmed is Harm.FREEZE:
            self.process.send(signal.SIGCONT)
        self.process.kill()
        self.way.__exit__(None, None, None)


class Replicas:
    """Operators of one namespace, whose Lease is in it, too. Use as a context manager."""

    def __init__(
        self, cluster: Cluster, credentials: Path, directory: Path, namespace: str, **timing: float
    ) -> None:
        """`timing` is the group leaderElection of the settings; without it the defaults hold."""
        self.namespace = namespace
        self._cluster, self._credentials, self._directory = cluster, credentials, directory
        settings = directory / "settings.yaml"
        settings.write_text(yaml.safe_dump({"leaderElection": timing}), encoding="utf-8")
        self._flags = (
            f"--settings={settings}",
            f"--namespace={namespace}",
            f"--lease-namespace={namespace}",
        )
        self.all: list[Replica] = []

    def __enter__(self) -> Self:
        Kubectl(self._cluster, self.namespace)("apply", "-f", str(ROLE))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for replica in self.all:
            replica.end()

    def launch(self, count: int) -> None:
        """Start so many at once, and do not wait."""
        for _ in range(count):
            directory = self._directory / f"replica-{secrets.token_hex(3)}"
            replica = Replica(self._cluster.api_url, self._credentials, directory, *self._flags)
            replica.way.__enter__()
            self.all.append(replica)
        for replica in self.all:
            replica.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until all say that they are ready."""
        for replica in self.all:
            until(replica.process.is_ready, f"replica ready; its log: {replica.process.log}")

    def leader(self, *, but: Replica | None = None) -> Replica:
        """The one that leads, once there is one. `but` is not asked: it may not be able to answer."""

        def found() -> Replica | None:
            return next((each for each in self.all if each is not but and each.process.leads()), None)

        replica = until(found, "somebody leads")
        assert replica is not None
        return replica

    def sent(self) -> dict[str, list[float]]:
        """By identity of each process: when it sent what changes something, the Lease apart."""
        return {who: times for replica in self.all for who, times in replica.sent().items()}

    @property
    def lease(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, LEASE_NAME


@contextmanager
def changing(cluster: Cluster, namespace: str, *, pause: float, seed: int = 0) -> Iterator[None]:
    """Change a model all the time, so that a leader always has something to write."""
    chance = random.Random(seed)
    name = "changing"
    autoscaling = {"minReplicas": 1, "maxReplicas": 2}
    Kubectl(cluster, namespace).apply(fake_model(name, autoscaling=autoscaling))
    path = _MODELS.format(namespace=namespace, name=name)
    ended = threading.Event()

    def change() -> None:
        with administrator(cluster) as client:
            for number in itertools.count(1):
                if ended.wait(chance.uniform(0, 2 * pause)):
                    return
                spec: dict[str, object] = {"autoscaling": {"maxReplicas": 2 + number % 7}}
                if number % _EVERY == 0:
                    spec["model"] = {"version": str(number)}
                client.patch(
                    path, json={"spec": spec}, headers={"Content-Type": "application/merge-patch+json"}
                )

    thread = threading.Thread(target=change, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
