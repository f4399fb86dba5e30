"""Which addresses a cluster uses. They follow from its index alone, so that no two clusters can meet."""

from __future__ import annotations

import dataclasses
import ipaddress

Network = ipaddress.IPv4Network

# Each cluster owns a /14 of the private 10.0.0.0/8, from 10.128.0.0 up: room for 32 clusters.
FIRST_BLOCK = Network("10.128.0.0/14")
BLOCKS = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """All addresses of a cluster follow from its index."""

    index: int

    @property
    def block(self) -> Network:
        """Everything below lies in here."""
        return Network((int(FIRST_BLOCK.network_address) + (self.index << 18), FIRST_BLOCK.prefixlen))

    @property
    def services(self) -> Network:
        """ClusterIPs: a /16, for tests with ten thousand Services."""
        return self._part(0, 16)

    @property
    def pods(self) -> Network:
        """Pods of the real node."""
        return self._part(1, 24)

    @property
    def fake_pods(self) -> Network:
        """Pods of kwok's nodes; nothing routes them."""
        return self._part(2, 16)

    @property
    def link(self) -> Network:
        """The two ends of the veth pair between the host and the node."""
        return self._part(3, 30)

    @property
    def host(self) -> str:
        """The host, as pods and the node see it; also the API server's advertised address."""
        return str(self.link[1])

    @property
    def node(self) -> str:
        """The real node."""
        return str(self.link[2])

    @property
    def api_service(self) -> str:
        """ClusterIP of the Service `kubernetes`, always the first."""
        return str(self.services[1])

    def _part(self, number: int, prefix: int) -> Network:
        return Network((int(self.block.network_address) + (number << 16), prefix))
