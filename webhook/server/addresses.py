"""host and port → the address in a URL, where IPv6 takes brackets; and how this machine reaches it."""

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 of an address that means all


def bare(host: str) -> str:
    """Without the brackets with which an IPv6 address may be given."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def address(host: str, port: int | str) -> str:
    """`[::1]:8000`, `127.0.0.1:8000`."""
    host = bare(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def loopback(host: str) -> str:
    """Where this machine reaches a server that listens on `host`."""
    host = bare(host)
    return _LOOPBACK.get(host, host)
