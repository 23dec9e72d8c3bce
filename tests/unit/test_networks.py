"""Which addresses may be called: by the registries of special addresses (IANA, RFC 6890) and the documents of clouds."""

from ipaddress import ip_address

import pytest

from orchestrator.domain.networks import read_networks, refusal

REFUSED = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",  # metadata of Alibaba Cloud
    "169.254.169.254",  # metadata of AWS, Google Cloud and Azure
    "168.63.129.16",  # Azure's own service for its machines
    "192.0.0.192",  # metadata of Oracle Cloud, older
    "198.18.0.1",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.250",
    "224.0.1.1",  # multicast that is routed everywhere
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",  # metadata of AWS
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",  # 169.254.169.254 through NAT64
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",  # 127.0.0.1 through 6to4
    "2002:a9fe:a9fe::",
]


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_of_our_own_network_are_refused(address: str) -> None:
    assert refusal(ip_address(address), ()) is not None


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "140.82.112.3", "172.32.0.1", "2606:4700::1", "64:ff9b::101:101"]
)
def test_public_ones_are_not(address: str) -> None:
    assert refusal(ip_address(address), ()) is None


@pytest.mark.parametrize(
    ("address", "allowed", "may"),
    [
        ("127.0.0.1", "127.0.0.0/8", True),
        ("::ffff:127.0.0.1", "127.0.0.0/8", True),
        ("10.1.2.3", "127.0.0.0/8, 10.1.0.0/16", True),
        ("10.2.2.3", "127.0.0.0/8, 10.1.0.0/16", False),
        ("fd12::1", "fd12::/16", True),
        ("127.0.0.1", "::/0", False),
    ],
)
def test_the_setting_allows_networks(address: str, allowed: str, may: bool) -> None:
    assert (refusal(ip_address(address), read_networks(allowed)) is None) == may


def test_a_network_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        read_networks("10.0.0.1/8")
