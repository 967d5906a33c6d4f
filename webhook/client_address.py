"""Where a request comes from, as it is counted by."""

import ipaddress

from flask import request


def whence() -> str:
    """Under which key tries of an address are counted: of IPv6 its /64, which one customer of a provider has."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return request.remote_addr or "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
