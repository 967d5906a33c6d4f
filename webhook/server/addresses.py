"""host and port → the address in a URL, where IPv6 takes brackets; how this machine reaches it; whether it is free."""

import socket
from collections.abc import Iterator

from tasks.settings import Settings

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


def places(settings: Settings, host: str, port: int) -> Iterator[tuple[str, str]]:
    """(where the web role listens, the setting or option that says so)."""
    yield address(host, port), "--port"
    for name, place in (("CONSOLE_BIND", settings.console_bind), ("METRICS_BIND", settings.metrics_bind)):
        if place is not None:
            yield place, name


def refused_place(settings: Settings, host: str, port: int) -> str | None:
    """What keeps the web role from listening: one line with the cure. None: nothing does."""
    for place, said_by in places(settings, host, port):
        at, _, number = place.rpartition(":")
        try:
            family, *_, bound = socket.getaddrinfo(bare(at) or None, int(number), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(bound)
        except OSError as error:
            return f"cannot listen on {place} ({error.strerror}); choose another with {said_by}"
    return None
