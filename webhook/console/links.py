"""URLs that come with a request: only those of the console itself are trusted."""

from urllib.parse import urlsplit

from flask import request, url_for


def here() -> str:
    """The URL of this request: path and query."""
    return request.script_root + request.full_path.rstrip("?")


def from_elsewhere() -> bool:
    """Whether another site made the browser send this request (Fetch Metadata, or Origin)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.host


def inside(address: str) -> str:
    """The URL if it is one of the console's own pages, otherwise the front page: no open redirect."""
    slashed = address.replace("\\", "/")  # as browsers take it
    own = request.script_root + "/"
    if not slashed.startswith(own) or slashed.startswith("//") or not address.isprintable():
        return url_for("today.show")
    return address
