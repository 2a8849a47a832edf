"""Which addresses a firmware file may come from."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from pydantic import ValidationError
from yarl import URL

from agent.config.firmware import FirmwareSection
from agent.firmware.servers import FileServers, host_networks

ELSEWHERE = URL("http://files.example/fw.bmu")
PUBLIC = ("1.1.1.1", "223.255.254.1", "2606:4700::1111", "64:ff9b::1.1.1.1")
NOT_PUBLIC = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1",
    "198.18.0.1", "192.0.2.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%lo", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1",
    # the same as IPv6: mapped, compatible, NAT64, 6to4, Teredo
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1",
    "64:ff9b:1::1.1.1.1", "2002:7f00:1::1", "2002:101:101::1", "2001:0:7f00:1::1",
)  # fmt: skip
METADATA = (
    "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254",
    "fd20:ce::254", "fe80::a9fe:a9fe%lo", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254", "2002:a9fe:a9fe::1",
)  # fmt: skip


def servers(*allowed: str, cloud: str | None = None, local=()) -> FileServers:
    networks = tuple(map(ip_network, local))
    return FileServers(FirmwareSection(allowed=allowed), cloud_url=cloud, local=lambda: networks)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_fetched_from(address: str) -> None:
    assert servers().may_give(ip_address(address), ELSEWHERE)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_is_not_public_is_not_fetched_from_in_whatever_form(address: str) -> None:
    assert not servers().may_give(ip_address(address), ELSEWHERE)


@pytest.mark.parametrize(
    ("allowed", "address"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("192.168.7.10-192.168.7.12", "192.168.7.11"),
        ("169.254.0.0/16", "169.254.1.1"),
        ("10.0.0.5", "64:ff9b::10.0.0.5"),
        ("::1", "::1"),
        ("fd00::/8", "fd00::7"),
        ("fe80::/10", "fe80::1%lo"),
    ],
)
def test_a_private_address_is_fetched_from_only_where_the_config_names_it(
    allowed: str, address: str
) -> None:
    assert servers(allowed).may_give(ip_address(address), ELSEWHERE)
    assert not servers("10.9.9.9").may_give(ip_address(address), ELSEWHERE)


@pytest.mark.parametrize("address", METADATA)
def test_metadata_services_are_never_fetched_from(address: str) -> None:
    open_to_all = servers("0.0.0.0-255.255.255.255", "::/0", cloud="http://files.example")
    assert not open_to_all.may_give(ip_address(address), ELSEWHERE)


def test_the_cloud_itself_is_fetched_from_wherever_it_stands() -> None:
    own = servers(cloud="https://cloud.lan:8443/base/")
    private = ip_address("10.0.0.5")
    assert own.may_give(private, URL("https://CLOUD.lan:8443/files/fw.bmu?sig=1"))
    for other in (
        "http://cloud.lan:8443/x",
        "https://cloud.lan/x",
        "https://cloud.lan:22/x",
        "https://10.0.0.5:8443/x",
        "https://other.lan:8443/x",
        "https://cloud.lan:8443@other.lan:8443/x",
    ):
        assert not own.may_give(private, URL(other))
    # what the url leaves out is the scheme's own port
    assert servers(cloud="https://cloud.lan").may_give(private, URL("https://cloud.lan:443/x"))


def test_a_neighbour_with_a_public_number_is_no_public_server() -> None:
    site = servers(local=("203.0.114.0/24", "2606:4700:7::/64"))
    assert not site.may_give(ip_address("203.0.114.9"), ELSEWHERE)
    assert not site.may_give(ip_address("2606:4700:7::9"), ELSEWHERE)
    assert site.may_give(ip_address("203.0.115.9"), ELSEWHERE)
    assert site.may_give(ip_address("2606:4700:8::9"), ELSEWHERE)


def test_the_networks_of_this_host_are_found() -> None:
    networks = host_networks()
    assert ip_network("127.0.0.0/8") in networks
    assert all(each.prefixlen for each in networks)


@pytest.mark.parametrize(
    "text", ["everything", "10.0.0.0/33", "fd00::/200", "10.0.0.9-10.0.0.1", "::1-::5"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="range"):
        FirmwareSection(allowed=(text,))
