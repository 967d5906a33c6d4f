"""The callback's path as people register it → the path that is served. Pure.

WeCom's page takes whatever is typed or pasted there: a slash at the end, two at the beginning, another case, a blank, a
slash that was encoded. None of these can mean anything else.
"""

from collections.abc import Collection
from urllib.parse import unquote

CALLBACK = "callback"


def served_as(path: str, apps: Collection[str]) -> str | None:
    """`/callback` or `/callback/<app>`, if that is what `path` means; None if it is another path.

    path: decoded once, as WSGI has it. An app is named in any case, unless two differ by case alone. One that does not
    exist stays as it is.
    """
    parts = [part.strip() for part in unquote(path).replace("\\", "/").split("/")]
    parts = [part for part in parts if part]
    if not parts or parts[0].lower() != CALLBACK or len(parts) > 2:
        return None
    if len(parts) == 1:
        return f"/{CALLBACK}"
    name = parts[1]
    alike = [app for app in apps if app.lower() == name.lower()]
    return f"/{CALLBACK}/{alike[0] if name not in apps and len(alike) == 1 else name}"
