"""What a rehearsal's cluster is like: how each version of the model behaves, who sends requests, how much room there is.

Anybody may change it while a story is played: what is asked next follows it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from modelward.api.names import REVISION_LABEL
from modelward.simulator.stores import Stored, Stores


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What the pods of one version of the model do."""

    load_seconds: float | None = 5.0
    """From the start of a container to readiness; None for a model that never gets ready. As it is at the start."""
    error_percent: float = 0.1
    """Requests that are answered with an error."""
    latency_milliseconds: float = 60.0
    """Median; the rest follows a log-normal distribution."""
    crash_after_seconds: float | None = None
    """Of running, each time; None: it does not crash."""
    crashes_one_in: int = 1
    """One pod of so many crashes: the last one of each such group."""
    out_of_memory: bool = False
    """A crash is a kill for its use of memory."""
    passes_probe: bool = True
    """Whether a pod that has loaded its model answers its readiness probe."""
    shows_metrics: bool = True
    workers: int = 1
    """Processes of each pod that count by themselves; each scrape is answered by the next of them."""
    probes_per_second: float = 0.0
    """Probes and scrapes of each pod, where its server counts them as it counts requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBehaviour:
    """What the Gateway does with routes."""

    delay_seconds: float = 1.0
    """From a change of a route to the Gateway's report, and to the split of traffic."""
    answers: bool = True
    """Whether there is a Gateway at all."""
    accepts: bool = True
    raises_generation: bool = True
    """Some implementations never report a later generation than the first."""
    throttle_seconds: float = 0.0
    """The least time between two changes of what it sends by, endpoints included. Its reports do not wait for it."""


GOOD: Final = Version()


@dataclass(slots=True, kw_only=True)
class World:
    """The knobs of a story."""

    versions: dict[str, Version] = field(default_factory=dict)
    """By `spec.model.version`, or by revision, which wins; all others are good."""
    others: Version = GOOD
    """How all others behave."""
    requests_per_second: float = 60.0
    """Sent to each model."""
    demand: int | None = None
    """How many pods autoscalers find necessary for all the traffic; None: as many as there are."""
    room: int | None = None
    """How many pods find a node at once; None: all."""
    gateway: GatewayBehaviour = field(default_factory=GatewayBehaviour)
    stores: Stores = field(default_factory=Stores)
    """Where models with a uri are fetched from."""
    refused: dict[str, str] = field(default_factory=dict)
    """What the API server takes from nobody: verb and kind ("patch Service"), and the reason of its answer, such as
    Invalid or Conflict."""
    changes: int = 0
    """Rises with every change that is made by a method here."""

    def version(self, pod: Mapping[str, Any]) -> Version:
        """How a pod behaves."""
        revision = (pod["metadata"].get("labels") or {}).get(REVISION_LABEL, "")
        return self.versions.get(revision) or self.versions.get(version_of(pod)) or self.others

    def set(self, version: str, **behaviour: Any) -> None:
        """Change how a version behaves."""
        self.versions[version] = replace(self.versions.get(version, self.others), **behaviour)
        self.changes += 1

    def store(self, uri: str, **content: Any) -> None:
        """Change what is at an address."""
        self.stores.stored[uri] = replace(self.stores.stored.get(uri, Stored()), **content)
        self.changes += 1

    def set_gateway(self, **behaviour: Any) -> None:
        """Change what the Gateway does."""
        self.gateway = replace(self.gateway, **behaviour)
        self.changes += 1


def version_of(pod: Mapping[str, Any]) -> str:
    """The version of the model in a pod, as its environment names it."""
    variables = pod["spec"]["containers"][0].get("env") or []
    return next((str(each.get("value", "")) for each in variables if each["name"] == "MODEL_VERSION"), "")
