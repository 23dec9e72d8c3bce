"""Which addresses may be called on behalf of somebody who is not trusted with our own network."""

import ipaddress
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
"""Where a cloud tells its machines about themselves, beside what is link-local or private anyway."""
_LOCAL: tuple[Network, ...] = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("64:ff9b:1::/48"))
"""Private too (RFC 6890, RFC 8215); not every Python that we run on knows it."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks in CIDR notation between commas. Raises ValueError that names the one which is none."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def refusal(address: Address, allowed: Sequence[Network]) -> str | None:
    """Why this address must not be called; None where it may be."""
    meant = _meant(address)
    if any(
        each.version == network.version and each in network
        for each in (address, meant)
        for network in allowed
    ):
        return None
    for is_so, what in (
        (meant in METADATA, "a metadata service"),
        (meant.is_loopback, "this machine"),
        (meant.is_link_local, "link-local"),
        (meant.is_multicast, "multicast"),
        (_is_local(meant) or not meant.is_global or meant.is_reserved, "private"),
    ):
        if is_so:
            return f"{address} is {what}, and WEBHOOK_ALLOWED_NETWORKS does not allow it"
    return None


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_local(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return True
    return any(address.version == network.version and address in network for network in _LOCAL)
