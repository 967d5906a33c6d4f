"""The outbound proxy on the way to WeCom's API, from a URL or from the environment. Pure.

Proxy.parse("http://user:password@proxy.example.com:3128")
url_for("https://qyapi.weixin.qq.com", os.environ)      what HTTPS_PROXY and NO_PROXY say about that address, or None
"""

import base64
import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `authorization`: the value of Proxy-Authorization, "" without a user."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Without user and password."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """From `http://[user:password@]host[:port]`, or without the scheme. ValueError never quotes the URL."""
        given = url if "://" in url else f"http://{url}"
        if re.search(r"[\s\x00-\x20\x7f]", given):
            raise ValueError("must have no blanks; a blank in a password is %20")
        try:
            parts = urlsplit(given)
            host, port = parts.hostname, parts.port
        except ValueError:  # its message quotes the URL, and so a password
            raise ValueError("must be http://host:port, with a port from 1 to 65535") from None
        if parts.scheme != "http":
            raise ValueError(f"must begin with http://, since {parts.scheme}:// proxies are not supported")
        if not host or port == 0:
            raise ValueError("must be http://host:port, with a port from 1 to 65535")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("must end with host:port; in a user or password / ? # @ are %2F %3F %23 %40")
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if re.search(r"[\x00-\x1f\x7f]", user + password) or ":" in user:
            raise ValueError("must have neither control characters in user and password, nor a colon in the user")
        known = base64.b64encode(f"{user}:{password}".encode()).decode()
        return cls(host, port or PORTS["http"], f"Basic {known}" if user or password else "")


def url_for(base_url: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """(variable, URL) of the proxy that the environment names for this address; None if it is reached directly.

    For http:// HTTP_PROXY counts, and HTTPS_PROXY without it. Lower case wins, as in curl and requests.
    """
    parts = urlsplit(base_url)
    if _is_exempt(parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0), environ):
        return None
    names = ("HTTPS_PROXY",) if parts.scheme == "https" else ("HTTP_PROXY", "HTTPS_PROXY")
    for name in (*names, "ALL_PROXY"):
        for variable in (name.lower(), name):
            if environ.get(variable):
                return variable, environ[variable]
    return None


def _is_exempt(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the host: itself, a domain above it, its network, or `*`; each with its port or none."""
    entries = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for entry in re.split(r"[\s,]+", entries.strip().lower()):
        if entry == "*":
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False):
                return True
        name, _, only = entry.rpartition(":") if re.search(r"[^:]:\d+$", entry) else (entry, "", "")
        name = name.strip("[]").removeprefix("*").removeprefix(".")
        if name and (host == name or host.endswith(f".{name}")) and only in ("", str(port)):
            return True
    return False
