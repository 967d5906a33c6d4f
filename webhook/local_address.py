"""Where the web role of this data directory listens on this machine: for rehearsals and the doctor.

The role leaves its address in a file. What asks for it has the address verify before it believes it: the role may be
gone, and another program may listen there.
"""

import contextlib
from pathlib import Path

from tasks.settings import App, Settings
from webhook.server.addresses import address, loopback

DEFAULT = "http://127.0.0.1:8000"
_NAME = "web-address"


def record(data_dir: Path, host: str, port: int) -> None:
    """Leave the address that this process listens at. Where the directory cannot be written, nobody finds it."""
    with contextlib.suppress(OSError):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / _NAME).write_text(f"http://{address(loopback(host), port)}\n", "ascii")


def recorded(data_dir: Path) -> str:
    """The address that was left last; the default one where there is none."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = (data_dir / _NAME).read_text("ascii").strip()
        if found.startswith("http://"):
            return found
    return DEFAULT


def verified(settings: Settings, app: App) -> str | None:
    """The callback URL on this machine; None where none verifies with this app's token and key."""
    import requests  # here: the web role only leaves its address

    from webhook.rehearsal import verify

    url = recorded(settings.data_dir) + app.callback_path
    try:
        return url if verify(app, url) is None else None
    except requests.RequestException:
        return None
