"""Which machines may be asked: never a metadata service or a link-local address, plain http only on this machine.

A name is resolved once for each connection and the connection goes to the address that was checked, so that a name that
resolves differently a moment later changes nothing. What the workload identity asks of its own metadata service does not
come this way: the library of the store does that by itself, and only when identity is asked for.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from modelward_fetch.failures import FetchFailed, Reason, Transient

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA: Final = {
    ipaddress.ip_address(each)
    for each in (
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # EKS Pod Identity
        "fd20:ce::254",  # Google
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's host
        "192.0.0.192",  # Oracle
    )
}
_TRANSLATED: Final = (
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("::/96"),  # IPv4-compatible, long out of use
)


def refusal(address: IpAddress) -> str | None:
    """Why nobody is asked there; None if it may be. Loopback is another question."""
    for each in _meant(address):
        if each in _METADATA or each.is_link_local:
            return "is a link-local or metadata address"
        if each.is_multicast or each.is_unspecified or (each.is_reserved and not each.is_loopback):
            return "is no address of a machine"
    return None


def is_loopback(address: IpAddress) -> bool:
    """This machine, however it is written."""
    return any(each.is_loopback for each in _meant(address))


def _meant(address: IpAddress) -> set[IpAddress]:
    """The address, and the IPv4 address that it stands for."""
    meant: set[IpAddress] = {address}
    if isinstance(address, ipaddress.IPv6Address):
        meant |= {each for each in (address.ipv4_mapped, address.sixtofour) if each}
        if any(address in network for network in _TRANSLATED) and int(address) > 1:
            meant.add(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.ipv4_mapped:
            meant.discard(address)  # "reserved" as a network, but what counts is the IPv4 address
    return meant


def resolve(host: str, port: int) -> list[IpAddress]:
    """The addresses of a name. Raises Transient if there are none (now)."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Transient(
            f"the name {host} does not resolve", remedy="Check the host's name, and DNS in the cluster."
        ) from error
    return list(dict.fromkeys(ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What is allowed for one store. `loopback`: the user named this machine; redirects to it are fine then."""

    plain_hosts: frozenset[str] = frozenset()
    """Hosts that whoever runs the cluster allows plain http to."""
    loopback: bool = False

    def addresses(self, host: str, port: int) -> list[str]:
        """Where a connection may go. Raises FetchFailed if one of the name's addresses must not be asked."""
        found = resolve(host, port)
        for address in found:
            if why := refusal(address):
                raise refused(f"{host} ({address}) {why}")
            if is_loopback(address) and not self.loopback:
                raise refused(
                    f"{host} ({address}) is this machine, which the address of the model does not name"
                )
        return [str(each) for each in found]

    def check_scheme(self, scheme: str, host: str) -> None:
        """Raises FetchFailed for plain http to another machine, and first for an address that is never asked."""
        if refused_literal := _literal(host):
            raise refused(f"{host} {refused_literal}")
        if scheme == "https" or (scheme == "http" and (host in self.plain_hosts or names_loopback(host))):
            return
        raise refused(
            f"{host} would be asked by plain {scheme}",
            "Use https, or have the administrator allow plain http to this host in the settings.",
        )


def guard_for(url: str, plain_hosts: Iterable[str] = ()) -> Guard:
    """The guard for an address that a user or administrator wrote; checked itself, too."""
    split = urlsplit(url)
    host = split.hostname or ""
    guard = Guard(plain_hosts=frozenset(plain_hosts), loopback=names_loopback(host))
    guard.check_scheme(split.scheme, host)
    return guard


def names_loopback(host: str) -> bool:
    """Whether the text itself is this machine: `localhost` or a loopback address, not a name that resolves to one."""
    if host == "localhost":
        return True
    try:
        return is_loopback(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return False


def _literal(host: str) -> str | None:
    try:
        return refusal(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def refused(what: str, remedy: str = "") -> FetchFailed:
    """The address is not asked."""
    return FetchFailed(
        Reason.ADDRESS_REFUSED,
        f"not asked: {what}",
        remedy=remedy or "Name an address of a store; metadata services and this machine are never asked.",
    )
