import asyncio
from ipaddress import ip_network

import httpcore
import pytest

from server.service_errors import ForbiddenTargetError
from server.webhooks.targets import GuardedBackend, Targets

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NOT_PUBLIC = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::1"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_targets(address):
    Targets().require("a.org", [address])


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_only_this_server_reaches_is_none(address):
    with pytest.raises(ForbiddenTargetError, match=r"a\.org leads to an address that is not public.*--webhook-network"):
        Targets().require("a.org", [PUBLIC[0], address])


def test_the_operator_allows_networks_and_no_more():
    targets = Targets([ip_network("10.1.0.0/16"), ip_network("fd12::/16")])
    targets.require("a.org", ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", PUBLIC[0]])
    for address in ("10.2.0.1", "fd13::1", "127.0.0.1"):
        with pytest.raises(ForbiddenTargetError):
            targets.require("a.org", [address])


@pytest.mark.parametrize("host", ["localhost", "x.localhost", "127.0.0.1", "::1", "10.0.0.1"])
def test_a_host_that_says_itself_that_it_is_no_target_is_refused_at_once(host):
    with pytest.raises(ForbiddenTargetError, match="not public"):
        Targets().require_host(host)
    Targets([ip_network("0.0.0.0/0"), ip_network("::/0")]).require_host(host)


@pytest.mark.parametrize("host", ["a.org", "8.8.8.8", "127.1", "intranet"])
def test_of_other_names_nothing_is_known_before_they_are_looked_up(host):
    Targets().require_host(host)


def connect(targets: Targets, host: str, port: int) -> None:
    async def connected() -> None:
        stream = await GuardedBackend(targets).connect_tcp(host, port, timeout=20)
        await stream.aclose()

    asyncio.run(connected())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0"])
def test_names_and_old_spellings_of_this_machine_are_found_out_when_they_are_looked_up(host, receiver):
    with pytest.raises(ForbiddenTargetError, match=f"{host} leads to"):
        connect(Targets(), host, receiver.server_port)


def test_a_name_is_connected_to_an_address_that_was_checked(receiver):
    connect(Targets([ip_network("127.0.0.0/8"), ip_network("::1")]), "localhost", receiver.server_port)


def test_a_name_that_nobody_knows_and_a_port_that_nobody_listens_at_are_failures(here, closed_port):
    with pytest.raises(httpcore.ConnectError, match="the name cannot be looked up"):
        connect(here, "nobody.invalid", 80)
    with pytest.raises(httpcore.ConnectError):
        connect(here, "127.0.0.1", closed_port)
