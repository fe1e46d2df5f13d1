"""The addresses that webhooks may reach: public ones, and networks that the operator names.

Users choose where this server sends to. Unless somebody says so it shall not be to what only this server reaches: its
own machine, its network, the metadata of its cloud (server-side request forgery). A name is looked up once for each
connection, all of its addresses are checked, and the connection is made to one of these: a name that leads elsewhere
the next moment (DNS rebinding) gains nothing.

References:
    OWASP, Server-Side Request Forgery Prevention Cheat Sheet; IANA's registries of special-purpose addresses, as
    Python's `ipaddress` has them; RFC 6052 (addresses of IPv4 in IPv6).
"""

import ipaddress
import socket
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import anyio
import httpcore

from server.addresses import is_address
from server.service_errors import ForbiddenTargetError

Network = IPv4Network | IPv6Network
NAT64 = IPv6Network("64:ff9b::/96")
SITE_LOCAL = IPv6Network("fec0::/10")  # given up by RFC 3879, and in no registry since


class Targets:
    """The rule of which addresses may be reached."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        """Allow public addresses, and those of `networks`."""
        self._networks = networks

    def require_host(self, host: str) -> None:
        """Return unless `host` says itself that it is no target; of a name that has to be looked up nothing is known.

        Raises:
            ForbiddenTargetError: it does.
        """
        if host == "localhost" or host.endswith(".localhost"):
            self.require(host, ["127.0.0.1"])
        elif is_address(host):
            self.require(host, [host])

    def require(self, host: str, addresses: Iterable[str]) -> None:
        """Return where `host`, whose addresses these are, may be reached.

        Raises:
            ForbiddenTargetError: one of them is no target. The message does not tell it: it is nothing that users know.
        """
        if not all(self._allows(ipaddress.ip_address(address)) for address in addresses):
            raise ForbiddenTargetError(
                f"{host} leads to an address that is not public; webhooks go to public addresses, and to networks that "
                "the operator of this server names with --webhook-network"
            )

    def _allows(self, address: IPv4Address | IPv6Address) -> bool:
        meant = _embedded(address) or address
        if any(one in network for one in (address, meant) for network in self._networks):
            return True
        return meant.is_global and not (meant.is_multicast or meant.is_reserved or meant in SITE_LOCAL)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Makes connections to targets alone."""

    def __init__(self, targets: Targets) -> None:
        """Make those that `targets` allows."""
        self._targets = targets
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the first of the host's addresses that takes one.

        Raises:
            ForbiddenTargetError: one of them is no target.
            ConnectError: the name is unknown, or none takes one.
        """
        try:
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"the name cannot be looked up ({error})") from error
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        self._targets.require(host, addresses)
        failure = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._backend.sleep(seconds)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """Return the address of IPv4 that one of IPv6 leads to, if it leads to one."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
