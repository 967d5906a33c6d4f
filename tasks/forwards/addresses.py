"""To which addresses events may be forwarded: to public ones, unless the target's setting allows others. Pure.

A name is resolved once for a connection, and what it resolves to is judged, not the name: one that points into the
corp's own network reaches nothing there (SSRF).
"""

import ipaddress

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is given out for the internet (RFC 4291)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet. False for what is no address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])  # without the zone of a link-local one
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = _inner(found)
        if inner is not None:
            return is_public(str(inner))
        if found not in _UNICAST:
            return False
    return found.is_global and not found.is_multicast


def _inner(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
