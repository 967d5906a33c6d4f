"""nginx and Caddy in front of the web role, with the configuration of deploy/, on loopback."""

import contextlib
import os
import socket
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType

import requests

from tests.support import certificate
from tests.support.documents import DEPLOY
from tests.support.processes import Process, free_port
from tests.support.until import until


class Front(Process):
    """A reverse proxy on ports of its own; its TLS certificate is made for the run."""

    PATIENCE: tuple[str, str]
    file: Path  # its configuration
    port: int

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        super().__init__(name, command, {"HOME": str(folder)}, folder)
        self.certificate = str(folder / "fullchain.pem")

    def __enter__(self) -> "Front":
        self.start()
        until(self._listens, what=f"{self.name} to listen")
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, url: str | None = None, **options: object) -> requests.Response:
        """Sends the path as it is written here: a client library would make /a/../b a /b."""
        session = requests.Session()
        session.trust_env = False
        prepared = session.prepare_request(requests.Request(method, url or self.url, **options))  # type: ignore[arg-type]
        query = f"?{prepared.url.partition('?')[2]}" if "?" in (prepared.url or "") else ""
        prepared.url = f"{url or self.url}{path}{query}"
        with session:
            return session.send(prepared, verify=self.certificate, timeout=30, allow_redirects=False)

    def _listens(self) -> bool:
        assert self.alive(), self.output()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


class Nginx(Front):
    """deploy/nginx/, with other ports, and everything that it writes in `folder`."""

    PATIENCE = ("proxy_connect_timeout", "proxy_read_timeout")  # that add up until WeCom has an answer

    def __init__(self, program: str, folder: Path, upstream: int, changes: dict[str, str] | None = None) -> None:
        """`upstream`: the web role's port. `changes`: further ones to the configuration, from → to."""
        self.port, self.console_port = free_port(), free_port()
        folder.mkdir(exist_ok=True)
        self.file = write_nginx(folder, ("upstream.conf", "wecom-welcome.conf", "console.conf"), {
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "listen [::]:443 ssl;": "",
            "listen 8443 ssl": f"listen 127.0.0.1:{self.console_port} ssl",
            "listen [::]:8443 ssl;": "",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
            **(changes or {}),
        })  # fmt: skip
        super().__init__("nginx", [program, "-p", str(folder), "-c", str(self.file)], folder)


class Caddy(Front):
    """deploy/Caddyfile, with another port, and a certificate of the run's own instead of one from a CA."""

    PATIENCE = ("dial_timeout", "response_header_timeout")

    def __init__(self, program: str, folder: Path, upstream: int, changes: dict[str, str] | None = None) -> None:
        self.port = free_port()
        folder.mkdir(exist_ok=True)
        pem = folder / "fullchain.pem"
        pem.write_bytes(_pem())
        self.file = folder / "Caddyfile"
        self.file.write_text(changed((DEPLOY / "Caddyfile").read_text("utf-8"), {
            "welcome.example.com {": f"https://127.0.0.1:{self.port} {{\n\ttls {pem} {pem}",
            "{\n\tservers {": "{\n\tadmin off\n\tauto_https off\n\tservers {",
            "127.0.0.1:8000": f"127.0.0.1:{upstream}",
            **(changes or {}),
        }))  # fmt: skip
        super().__init__("caddy", [program, "run", "--config", str(self.file), "--adapter", "caddyfile"], folder)


@cache
def _pem() -> bytes:
    """Key and certificate, the same in a whole run: making a key takes half a second."""
    with tempfile.TemporaryDirectory() as folder:
        return certificate.write(Path(folder) / "pem").read_bytes()


def write_nginx(folder: Path, names: tuple[str, ...], changes: dict[str, str]) -> Path:
    """An nginx.conf with these files of deploy/nginx/ where a distribution's has conf.d/. Each change has to apply."""
    for name in ("fullchain.pem", "privkey.pem"):
        (folder / name).write_bytes(_pem())
    text = "\n".join((DEPLOY / "nginx" / name).read_text("utf-8") for name in names)
    text = changed(text, {"/etc/nginx/certificates": str(folder), "/var/log/nginx": str(folder)} | changes)
    kept = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    as_root = "user root;" if os.geteuid() == 0 else ""  # its folder is ours alone
    main = f"daemon off;\n{as_root}\npid {folder}/nginx.pid;\nerror_log stderr warn;\nevents {{}}\n"
    file.write_text(f"{main}http {{\n{kept}{text}\n}}\n", "utf-8")
    return file


def changed(text: str, changes: dict[str, str]) -> str:
    """The text with each of these changes, from → to. One that does not apply is an AssertionError."""
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    return text
