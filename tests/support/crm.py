"""The CRM that deploy/examples/crm_placeholders asks, and that package, installed in a folder."""

import json
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tasks.placeholders.installed import GROUP, installed
from tests.support.documents import DEPLOY


@dataclass
class Crm:
    """`known`: by external_userid. `asked`: who was asked for, with the bearer token. `status` 0: it hangs."""

    url: str = ""
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    status: int = 200
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def crm() -> Iterator[Crm]:
    """One on a port of its own, until the end of the block."""
    made = Crm()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            customer = self.path.rpartition("/")[2]
            made.asked.append((customer, self.headers["Authorization"]))
            if not made.status:
                made.over.wait(60)
                self.close_connection = True
                return
            found = made.known.get(customer)
            body = json.dumps(found or {}).encode()
            self.send_response(made.status or 200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/customers"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()


def install(folder: Path) -> Path:
    """Build the example's wheel, and unpack it as pip does. → the folder for PYTHONPATH."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=DEPLOY / "examples" / "crm_placeholders", check=True, capture_output=True, timeout=60)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@contextmanager
def installed_here(folder: Path) -> Iterator[None]:
    """The example is installed for this process, in a folder of its own, until the end of the block."""
    example = DEPLOY / "examples" / "crm_placeholders"
    project = tomllib.loads((example / "pyproject.toml").read_text("utf-8"))["project"]
    shutil.copy(example / "crm_placeholders.py", folder)
    about = folder / "crm_placeholders-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "\n".join(f"{name} = {value}" for name, value in project["entry-points"][GROUP].items())
    (about / "entry_points.txt").write_text(f"[{GROUP}]\n{points}\n")
    sys.path.insert(0, str(folder))
    installed.cache_clear()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("crm_placeholders", None)
        installed.cache_clear()
