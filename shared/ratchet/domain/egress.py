"""Where steps may call out to: public addresses, and what the operator has listed."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ratchet.domain.errors import InvalidSettings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
# Python calls these global, yet they lead to a cloud's metadata service, to a translator or nowhere.
_NEVER_PUBLIC = tuple(ip_network(text) for text in ("192.0.0.0/24", "100.64.0.0/10", "fd00:ec2::/32", "64:ff9b:1::/48"))


@dataclass(frozen=True, slots=True)
class EgressRules:
    """Hosts and networks that may be called although they are not public."""

    hosts: frozenset[str]
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> "EgressRules":
        """Each entry is a host name, an address or a network in CIDR form.

        Raises:
            InvalidSettings: an entry is none of these.
        """
        hosts, networks = set[str](), list[Network]()
        for entry in entries:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                if not entry or "/" in entry:
                    raise InvalidSettings(f"RATCHET_HTTP_ALLOW: {entry!r} is neither a host nor a network") from None
                hosts.add(entry.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def allows(self, host: str, address: str) -> bool:
        """Whether `address`, to which `host` was resolved, may be connected to."""
        if host.lower().rstrip(".") in self.hosts:
            return True
        # An address with a scope (fe80::1%eth0) is a local one in any case.
        found = ip_address(address.partition("%")[0])
        return any(found in network for network in self.networks) or is_public(found)


def is_public(address: Address) -> bool:
    """Whether an address is on the open internet, looking through the ways to write IPv4 inside IPv6."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if address.teredo is not None:
            inner = address.teredo[1]
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER_PUBLIC)
