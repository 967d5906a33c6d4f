"""The API as it is served, where the console is; the page's commands work against it."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import requests

from tasks.books import files
from tasks.books.files import Bundle
from tasks.people.api_tokens import Scope
from tasks.services import Services
from tests.support.api import NOWHERE, Program
from tests.support.api import ROOT as API
from tests.support.books import PNG, SHOWING
from tests.support.console import PASSWORD
from tests.support.documents import ROOT, Page
from tests.support.ledger import settled
from tests.support.web import WebProcess
from webhook import create_app
from webhook.api.application import SCOPES
from webhook.server.concurrency_limit import API_BUSY
from webhook.server.connections import UPLOAD_LIMIT

README = Page(ROOT / "webhook/api/README.md")
EDITED = ("> book.yaml\n", "> book.yaml\nsed -i s/很高兴/真高兴/ book.yaml\n")
FAILS = 'curl() { command curl --fail-with-body "$@"; }\n'


def _endless(port: int, secret: str) -> bytes:
    """What an operation answers to a body in chunks that does not end."""
    head = (
        f"POST {API}/apps/default/book/validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        "Content-Type: application/zip\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(head.encode())
        for _ in range(UPLOAD_LIMIT // (1 << 20)):
            connection.sendall(chunk)
        return connection.makefile("rb").read()


def test_every_scope_is_described() -> None:
    described = [cells[0].strip("`") for cells in README.section("Tokens").rows()]
    assert described == [*map(str, SCOPES)] == [*map(str, Scope)]


def test_the_pages_commands_work_one_after_the_other(
    services: Services, redis_url: str, tmp_path: Path, require_tool: Callable[[str], str]
) -> None:
    require_tool("curl")
    settled(services.ledger)
    _, secret = services.api_tokens.create("page", set(Scope))
    script = "".join(code for language, code in README.blocks if language == "sh").replace(*EDITED)
    with WebProcess(tmp_path, redis_url, CONSOLE_PASSWORD=PASSWORD, WECOM_API_BASE=NOWHERE) as web:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", FAILS + script],
            env={"PATH": "/usr/bin:/bin", "URL": web.url, "TOKEN": secret},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        large = files.to_zip(Bundle(SHOWING, {"media/hello.png": PNG + Random(1).randbytes(1 << 20)}))
        answer = requests.post(
            f"{web.url}{API}/apps/default/book/validate",
            large,  # more than a callback may have
            headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/zip"},
            timeout=30,
        )
        refused = _endless(web.port, secret)
        assert answer.status_code == 200, answer.text
    assert services.books.revision("default", 2).note == "autumn"
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert json.loads(refused.partition(b"\r\n\r\n")[2])["code"] == "too_large"


@pytest.mark.parametrize("variables", [{"CONSOLE_BIND": "127.0.0.1:8001"}])
def test_it_has_the_consoles_address_alone(ask: Program) -> None:
    def status(port: int) -> int:
        return ask("GET", "/apps", base_url=f"http://localhost:{port}").status_code

    assert (status(8000), status(8001)) == (404, 200)


@pytest.mark.parametrize("variables", [{"CONSOLE_PASSWORD": ""}])
def test_without_a_console_there_is_none(services: Services) -> None:
    assert create_app(services).test_client().get(f"{API}/openapi.json").status_code == 404


def test_who_is_not_let_in_gets_a_problem_too() -> None:
    assert json.loads(API_BUSY)["code"] == "busy"
