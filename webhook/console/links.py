"""Addresses that came with a request: only those of the console itself are followed."""

from urllib.parse import urlsplit

from flask import request, url_for


def here() -> str:
    """The address of this request, path and query."""
    return request.script_root + request.full_path.rstrip("?")


def inside(address: str) -> str:
    """The address if it is one of the console's own pages, else its front page: no open redirect."""
    parts = urlsplit(address.replace("\\", "/"))
    own = request.script_root + "/"
    if parts.scheme or parts.netloc or not parts.path.startswith(own) or not address.isprintable():
        return url_for("today.show")
    return address
